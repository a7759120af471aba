package payload

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// What the formats of mail services say of the SMTP envelope is derived: a
// mailbox has the mail, not the envelope. What cannot be derived is "".

// recipient is the address the mail was sent to: what the server that delivered
// it wrote down; else the address of To or Cc that is the mailbox's, with its
// tag; else the mailbox's.
func recipient(d *sinks.Delivery) string {
	if len(d.Message.DeliveredTo) > 0 {
		return d.Message.DeliveredTo[0]
	}
	for _, list := range [...][]parser.Address{d.Message.To, d.Message.CC} {
		for _, a := range list {
			if d.Origin.Address != "" && strings.EqualFold(withoutTag(a.Email), withoutTag(d.Origin.Address)) {
				return a.Email
			}
		}
	}
	return d.Origin.Address
}

// returnPath is the reverse-path, which the last server wrote into Return-Path
// (RFC 5321, section 4.4); "" for the null one and where it is not known.
func returnPath(m *parser.Message) string {
	v, _ := headerOf(m, "Return-Path")
	v = strings.Trim(strings.TrimSpace(v), "<>")
	if strings.ContainsAny(v, " \t\r\n,<>\"") {
		return ""
	}
	return v
}

// tag is what stands after the + of an address' local part (RFC 5233), "" without.
func tag(email string) string {
	local, _, _ := cutDomain(email)
	_, tag, _ := strings.Cut(local, "+")
	return tag
}

func withoutTag(email string) string {
	local, domain, ok := cutDomain(email)
	if !ok {
		return email
	}
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

func cutDomain(email string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(email, '@')
	if i < 0 {
		return email, "", false
	}
	return email[:i], email[i+1:], true
}

// needsNoLink refuses what would leave a format that has no place for links
// without the attachments.
func needsNoLink(f Format, o Options) error {
	if o.Attachments != Store {
		return nil
	}
	return fmt.Errorf("format %s has no place for links: use inline, or format mailgun or cloudmailin", f.Name())
}

// sendsAll refuses what would choose among the attachments of a body that is the
// whole mail.
func sendsAll(what string, o Options) error {
	chosen := o.Attachments != "" && o.Attachments != Auto && o.Attachments != Inline
	if !chosen && o.Only == nil {
		return nil
	}
	return fmt.Errorf("%s is the whole mail, with every attachment in it: take attachments and attachments_only out, or use another format", what)
}

// headerOf is the value of the first field of that name.
func headerOf(m *parser.Message, name string) (string, bool) {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value, true
		}
	}
	return "", false
}

// lists tells whether one of the addresses is email.
func lists(list []parser.Address, email string) bool {
	for _, a := range list {
		if strings.EqualFold(a.Email, email) {
			return true
		}
	}
	return false
}

// addresses writes a list as a header field does, decoded: a name in quotes
// where it must be, or in any case.
func addresses(list []parser.Address, quote bool) string {
	var b strings.Builder
	for i, a := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		name := oneLine(text(a.Name))
		if name == "" {
			b.WriteString(oneLine(a.Email))
			continue
		}
		if quote || strings.ContainsFunc(name, func(r rune) bool { return strings.ContainsRune(`()<>[]:;@\,."`, r) }) {
			name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		}
		b.WriteString(name + " <" + oneLine(a.Email) + ">")
	}
	return b.String()
}

// oneLine is s without what would begin a line of its own where it is written into
// a header again.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}

// text is what s points to, "" for nil.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// replyText is the new text of a reply: all of the text where nothing is quoted.
func replyText(m *parser.Message) string {
	if m.Reply != nil {
		return m.Reply.Text
	}
	return text(m.Text)
}
