package compose

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postferry/postferry/parser"
)

// Letter is a wholly new mail, as a person or a program wrote it.
type Letter struct {
	ID      string    // of which the Message-ID is made: ID@domain of From
	Date    time.Time //
	From    parser.Address
	ReplyTo []parser.Address
	To      []parser.Address
	CC      []parser.Address
	BCC     []parser.Address // get the mail, and are not named in it
	Subject string
	Text    string // its lines end in LF or CRLF
	HTML    string // "" is none; with it alone, Text is made of it
	Files   []*File
	Headers []parser.Header // further fields; Settable says which there may be

	ReversePath *string // the envelope's; nil is From

	fields  header    // In-Reply-To and the like
	related []*File   // what the HTML shows
	whole   *original // a mail within this one
}

// MostRecipients is how many boxes one mail goes to at most (RFC 5321, section
// 4.5.3.1.8, lets a server refuse more).
const MostRecipients = 100

// Mail composes the letter. The error says what of it cannot be sent.
func (l *Letter) Mail() (*Mail, error) {
	m := &Mail{}
	from, err := cleaned(l.From)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	lists := [4][]parser.Address{l.To, l.CC, l.BCC, l.ReplyTo}
	for i, name := range [...]string{"to", "cc", "bcc", "reply_to"} {
		list := make([]parser.Address, len(lists[i]))
		for k, a := range lists[i] {
			if list[k], err = cleaned(a); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		lists[i] = list
	}
	m.From = from.Email
	if l.ReversePath != nil {
		if m.From = *l.ReversePath; m.From != "" {
			if m.From, err = cleanAddress(m.From); err != nil {
				return nil, fmt.Errorf("envelope_from: %w", err)
			}
		}
	}
	seen := map[string]bool{}
	for _, list := range lists[:3] {
		for _, a := range list {
			if key := strings.ToLower(a.Email); !seen[key] {
				seen[key] = true
				m.To = append(m.To, a.Email)
			}
			m.UTF8 = m.UTF8 || !isASCII(a.Email)
		}
	}
	for _, a := range append(lists[3], from, parser.Address{Email: m.From}) {
		m.UTF8 = m.UTF8 || !isASCII(a.Email)
	}
	switch n := len(m.To); {
	case n == 0:
		return nil, errors.New("it has no recipients: set to, cc or bcc")
	case n > MostRecipients:
		return nil, fmt.Errorf("it has %d recipients, more than %d", n, MostRecipients)
	}
	m.MessageID = l.messageID(from.Email)
	if err := l.header(&m.head, from, lists); err != nil {
		return nil, err
	}
	m.head.add("Message-ID", "<"+m.MessageID+">")
	m.head.fields = append(m.head.fields, l.fields.fields...)
	for _, h := range l.Headers {
		if err := Settable(h.Name); err != nil {
			return nil, err
		}
		m.head.text(h.Name, h.Value)
	}
	m.head.add("MIME-Version", "1.0")
	m.body = l.content(m.MessageID)
	return m, nil
}

func (l *Letter) messageID(from string) string {
	domain := from[strings.LastIndexByte(from, '@')+1:]
	if id := ids([]string{l.ID}); len(id) == 1 {
		return id[0] + "@" + domain
	}
	return fmt.Sprintf("%x@%s", l.Date.UnixNano(), domain)
}

func (l *Letter) header(h *header, from parser.Address, lists [4][]parser.Address) error {
	h.date("Date", l.Date)
	h.addresses("From", []parser.Address{from})
	h.addresses("Reply-To", lists[3])
	h.addresses("To", lists[0])
	h.addresses("Cc", lists[1])
	if len(lists[0])+len(lists[1]) == 0 {
		h.add("To", "undisclosed-recipients:;") // RFC 5322, section 3.6.3 asks for none; receivers do
	}
	h.text("Subject", l.Subject)
	return nil
}

// content puts the parts together: text, then HTML with what it shows, then
// files, then the mail within.
func (l *Letter) content(seed string) content {
	plain := l.Text
	if plain == "" && l.HTML != "" {
		plain = parser.HTMLText(l.HTML, longestMade)
	}
	var body content = &text{"plain", plain}
	files := l.Files
	if l.HTML != "" {
		var shown content = &text{"html", l.HTML}
		if len(l.related) > 0 {
			shown = &multipart{"related", seed, append([]content{shown}, contents(l.related)...)}
		}
		body = &multipart{"alternative", seed, []content{body, shown}}
	} else {
		files = append(l.related[:len(l.related):len(l.related)], files...)
	}
	parts := append([]content{body}, contents(files)...)
	if l.whole != nil {
		parts = append(parts, l.whole)
	}
	if len(parts) == 1 {
		return body
	}
	return &multipart{"mixed", seed, parts}
}

func contents(files []*File) []content {
	out := make([]content, len(files))
	for i, f := range files {
		out[i] = f
	}
	return out
}

// longestMade bounds the text made of HTML, in octets.
const longestMade = 1 << 20

// Settable tells whether a configuration or a caller may set a field: nil, or what
// is wrong with its name.
func Settable(name string) error {
	if name == "" || len(name) > 100 || strings.Trim(name, letters+"-_") != "" {
		return fmt.Errorf("%q is not the name of a header field", clip(oneLine(name), 60))
	}
	low := strings.ToLower(name)
	for _, own := range [...]string{
		"date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject", "mime-version",
		"return-path", "received", "delivered-to", "auto-submitted", "dkim-signature", "authentication-results", "x-postferry-trace",
	} {
		if low == own {
			return fmt.Errorf("%s is a field that postferry sets itself, or that is not a sender's to set", name)
		}
	}
	if strings.HasPrefix(low, "content-") || strings.HasPrefix(low, "resent-") || strings.HasPrefix(low, "arc-") {
		return fmt.Errorf("%s is a field that postferry sets itself, or that is not a sender's to set", name)
	}
	return nil
}
