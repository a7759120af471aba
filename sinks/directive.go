package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

// The verbs of errands, which an Errander knows.
const (
	VerbReply   = "reply"   // the Content is a Directive
	VerbForward = "forward" // the Content is a Directive
	VerbSend    = "send"    // the Content is an Envelope, the mail is sent as it is
)

// Directive is what a webhook's answer wants said in a reply or a forwarded mail.
// What is empty is left to the action and, where it is the sink's own, to the
// sink's configuration.
type Directive struct {
	All     bool             `json:"all,omitempty"` // of a reply: to all who got the mail
	Subject string           `json:"subject,omitempty"`
	Text    string           `json:"text,omitempty"`
	HTML    string           `json:"html,omitempty"`
	To      []parser.Address `json:"to,omitempty"`
	CC      []parser.Address `json:"cc,omitempty"`
	BCC     []parser.Address `json:"bcc,omitempty"`
}

// Envelope is what an SMTP server is told of a mail that is sent as it is:
// addresses without <>.
type Envelope struct {
	From string   `json:"from"` // empty: the null reverse-path
	To   []string `json:"to"`
	UTF8 bool     `json:"utf8,omitempty"` // an address or header field is not ASCII (RFC 6531)
}

// What a directive may have.
const (
	longestSubject    = 1000 // octets
	longestText       = 256 << 10
	mostAddresses     = 50
	longestAddressing = 320 // octets of one address with its name
)

// ReadDirective reads what an answer says of a verb, as far as it can be told
// without sending it: an object of the fields of Directive, whose addresses are
// text ("Ada <ada@example.com>"), objects of name and email, or a list of those; or,
// for a reply, its text alone. The error tells what to change.
func ReadDirective(verb string, said []byte) (*Directive, error) {
	var written struct {
		All     bool      `json:"all"`
		Subject *string   `json:"subject"`
		Text    *string   `json:"text"`
		HTML    *string   `json:"html"`
		To      addresses `json:"to"`
		CC      addresses `json:"cc"`
		BCC     addresses `json:"bcc"`
	}
	if text := bytes.TrimSpace(said); verb == VerbReply && len(text) > 0 && text[0] == '"' {
		said, _ = json.Marshal(map[string]json.RawMessage{"text": text})
	}
	dec := json.NewDecoder(bytes.NewReader(said))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&written); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("there is more than one value")
	}
	d := &Directive{All: written.All, Subject: text(written.Subject), Text: text(written.Text), HTML: text(written.HTML), To: written.To, CC: written.CC, BCC: written.BCC}
	return d, d.check(verb)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (d *Directive) check(verb string) error {
	switch {
	case verb == VerbReply && d.Text == "" && d.HTML == "":
		return errors.New("it says nothing: give it text or html")
	case verb == VerbForward && d.All:
		return errors.New("all goes with reply")
	case len(d.Subject) > longestSubject || strings.ContainsFunc(d.Subject, control):
		return fmt.Errorf("subject has control characters, or more than %d octets", longestSubject)
	case len(d.Text) > longestText || len(d.HTML) > longestText:
		return fmt.Errorf("text or html has more than %d octets", longestText)
	case strings.ContainsRune(d.Text, 0) || strings.ContainsRune(d.HTML, 0):
		return errors.New("text or html has NUL")
	case len(d.To)+len(d.CC)+len(d.BCC) > mostAddresses:
		return fmt.Errorf("it has more than %d addresses", mostAddresses)
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }

// addresses are written as a text, an object, or a list of them.
type addresses []parser.Address

// UnmarshalJSON implements json.Unmarshaler.
func (a *addresses) UnmarshalJSON(b []byte) error {
	*a = nil
	if string(b) == "null" {
		return nil
	}
	all := []json.RawMessage{b}
	if b[0] == '[' {
		if err := json.Unmarshal(b, &all); err != nil {
			return err
		}
	}
	for _, one := range all {
		read, err := readAddresses(one)
		if err != nil {
			return err
		}
		*a = append(*a, read...)
	}
	return nil
}

// readAddresses reads a list as text (RFC 5322, section 3.4), or an address as an
// object.
func readAddresses(b []byte) ([]parser.Address, error) {
	var line string
	if json.Unmarshal(b, &line) == nil {
		return parseAddresses(line)
	}
	var o struct {
		Name  *string `json:"name"`
		Email string  `json:"email"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return nil, errors.New(`an address is "Name <a@example.com>" or {"name": …, "email": …}`)
	}
	read, err := parseAddresses((&mail.Address{Name: text(o.Name), Address: o.Email}).String())
	if err == nil && (len(read) != 1 || read[0].Email != o.Email) {
		err = fmt.Errorf("%.60q is no address that mail is sent to", o.Email)
	}
	return read, err
}

func parseAddresses(line string) ([]parser.Address, error) {
	if strings.ContainsFunc(line, control) || !utf8.ValidString(line) {
		return nil, fmt.Errorf("%.60q has control characters", line)
	}
	list, err := mail.ParseAddressList(line)
	if err != nil {
		return nil, fmt.Errorf("%.60q is no address: %s", line, strings.TrimPrefix(err.Error(), "mail: "))
	}
	var all []parser.Address
	for _, a := range list {
		if strings.ContainsAny(a.Address, " ,;:<>()\"\\") { // a quoted local part hides some
			return nil, fmt.Errorf("%.60q is no address that mail is sent to", a.Address)
		}
		if len(a.Name)+len(a.Address) > longestAddressing {
			return nil, fmt.Errorf("%.60q is too long an address", a.Address)
		}
		if strings.ContainsFunc(a.Name+a.Address, control) { // an encoded-word may hide some
			return nil, fmt.Errorf("%.60q has control characters", line)
		}
		one := parser.Address{Email: a.Address}
		if a.Name != "" {
			one.Name = &a.Name
		}
		all = append(all, one)
	}
	return all, nil
}

// Errand is the errand of a directive to that sink.
func (d *Directive) Errand(sink, verb string) (spool.Errand, error) { return errandOf(sink, verb, d) }

// Errand is the errand of a mail that is to be sent as it is.
func (e *Envelope) Errand(sink string) (spool.Errand, error) { return errandOf(sink, VerbSend, e) }

func errandOf(sink, verb string, v any) (spool.Errand, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return spool.Errand{}, err
	}
	content := bytes.TrimSpace(b.Bytes())
	if len(content) > spool.MaxErrand {
		return spool.Errand{}, fmt.Errorf("it has more than %d octets as JSON", spool.MaxErrand)
	}
	return spool.Errand{Sink: sink, Verb: verb, Content: content}, nil
}

// DirectiveOf reads the Directive in an errand of VerbReply or VerbForward. The
// error is Permanent: it is of a newer postferry.
func DirectiveOf(e *spool.Errand) (*Directive, error) {
	d := &Directive{}
	return d, contentOf(e, d)
}

// EnvelopeOf reads the Envelope in an errand of VerbSend. The error is Permanent.
func EnvelopeOf(e *spool.Errand) (*Envelope, error) {
	env := &Envelope{}
	return env, contentOf(e, env)
}

func contentOf(e *spool.Errand, into any) error {
	dec := json.NewDecoder(bytes.NewReader(e.Content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return Permanent(fmt.Errorf("reading what %s is to say: %w", e.Verb, err))
	}
	return nil
}
