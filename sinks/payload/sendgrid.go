package payload

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// sendGrid is the form of SendGrid's Inbound Parse, described in
// docs/formats/sendgrid.md.
type sendGrid struct {
	Raw bool `config:"raw" doc:"true: the whole mail as email, as with SendGrid's setting to send raw, instead of its parts"`
}

func (*sendGrid) Name() string        { return "sendgrid" }
func (*sendGrid) ContentType() string { return multipartForm }

// CheckOptions implements Checker.
func (g *sendGrid) CheckOptions(o Options) error {
	if g.Raw {
		return sendsAll("format sendgrid with raw", o)
	}
	return needsNoLink(g, o)
}

func (g *sendGrid) Render(d *sinks.Delivery, o Options) (*Body, error) {
	m := d.Message
	f := newForm(d, multipartForm)
	var charsets []byte
	decoded := func(name, value string) {
		f.field(name, value)
		charsets = appendSeparator(charsets, '{')
		charsets = append(appendString(charsets, name), `:"UTF-8"`...)
	}
	decoded("to", addresses(m.To, false))
	decoded("from", addresses(m.From, false))
	if m.CC != nil {
		decoded("cc", addresses(m.CC, false))
	}
	decoded("subject", text(m.Subject))
	if err := g.content(f, d, o, decoded); err != nil {
		f.Release()
		return nil, err
	}
	f.field("envelope", string(appendSendGridEnvelope(nil, recipient(d), returnPath(m))))
	f.field("sender_ip", "")
	f.field("SPF", text(m.Auth.SPF))
	f.field("dkim", "none")
	f.field("charsets", string(append(charsets, '}')))
	return f.end()
}

// content adds the mail, whole or in parts.
func (g *sendGrid) content(f *form, d *sinks.Delivery, o Options, decoded func(name, value string)) error {
	if g.Raw {
		mail, err := newMailText(d.Octets, true) // SendGrid's own library knows no CRLF
		if err != nil {
			return err
		}
		f.stream("email", mail.size(), mail.write)
		return nil
	}
	header, err := headerBlock(d)
	if err != nil {
		return err
	}
	f.field("headers", header)
	if d.Message.Text != nil {
		decoded("text", *d.Message.Text)
	}
	if d.Message.HTML != nil {
		decoded("html", *d.Message.HTML)
	}
	sendGridFiles(f, d, o)
	return nil
}

// sendGridFiles adds the files and what is said of them. One that is left out is
// described as well, after those that are there and are counted.
func sendGridFiles(f *form, d *sinks.Delivery, o Options) {
	n, left := 0, 0
	var info, ids []byte
	for a := range o.place(d, true) {
		if a.omitted != "" {
			left++
		} else {
			n++
		}
		name := "attachment" + strconv.Itoa(n+left)
		info = appendSeparator(info, '{')
		info = appendString(append(appendString(info, name), `:{"filename":`...), nameOf(a.Attachment))
		info = appendString(append(info, `,"name":`...), nameOf(a.Attachment))
		info = appendString(append(info, `,"type":`...), a.Type)
		if a.Charset != nil {
			info = appendString(append(info, `,"charset":`...), *a.Charset)
		}
		if a.CID != nil && *a.CID != "" {
			info = appendString(append(info, `,"content-id":`...), *a.CID)
			if a.omitted == "" {
				ids = appendSeparator(ids, '{')
				ids = appendString(append(appendString(ids, *a.CID), ':'), name)
			}
		}
		info = append(info, '}')
		if a.omitted == "" {
			f.file(name, a.Attachment)
		}
	}
	f.field("attachments", strconv.Itoa(n))
	if info != nil {
		f.field("attachment-info", string(append(info, '}')))
	}
	if ids != nil {
		f.field("content-ids", string(append(ids, '}')))
	}
}

func appendSendGridEnvelope(b []byte, to, from string) []byte {
	b = appendString(append(b, `{"to":[`...), to) // one element, which receivers rely on
	b = appendString(append(b, `],"from":`...), from)
	return append(b, '}')
}

// headerBlock is the header of the mail as it stands in it, with LF at the ends of
// its lines.
func headerBlock(d *sinks.Delivery) (string, error) {
	if len(d.Message.Headers) == 0 {
		return "", nil
	}
	limit := int64(parser.DefaultLimits().HeaderBytes)
	block, err := io.ReadAll(io.LimitReader(d.Octets.Reader(), limit))
	if err != nil {
		return "", fmt.Errorf("reading the mail from the store: %w", err)
	}
	text := strings.ReplaceAll(string(bytes.ToValidUTF8(block, []byte("\uFFFD"))), "\r\n", "\n")
	text = strings.TrimLeft(strings.TrimPrefix(text, "\uFEFF"), "\n")
	header, _, found := strings.Cut(text, "\n\n")
	if !found && int64(len(block)) == limit {
		header = header[:strings.LastIndexByte(header, '\n')+1]
	}
	return strings.TrimRight(header, "\n") + "\n", nil
}
