package payload

import (
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// postmark is the JSON of Postmark's inbound webhook, described in
// docs/formats/postmark.md.
type postmark struct {
	RawEmail bool `config:"raw_email" doc:"true: RawEmail is sent too, the whole mail"`
}

func (*postmark) Name() string        { return "postmark" }
func (*postmark) ContentType() string { return "application/json" }

// Stops implements Stopper: Postmark tries no more after a 403.
func (*postmark) Stops(status int) bool { return status == http.StatusForbidden }

// CheckOptions implements Checker.
func (p *postmark) CheckOptions(o Options) error { return needsNoLink(p, o) }

func (p *postmark) Render(d *sinks.Delivery, o Options) (*Body, error) {
	m, to := d.Message, recipient(d)
	b := newBody(p.ContentType())
	var from parser.Address
	if len(m.From) > 0 {
		from = m.From[0]
	}
	bcc := m.BCC
	if to != "" && !lists(m.To, to) && !lists(m.CC, to) && !lists(bcc, to) {
		bcc = append([]parser.Address{{Email: to}}, bcc...)
	}
	t := appendString(append(*b.text, `{"FromName":`...), oneLine(text(from.Name)))
	t = appendString(append(t, `,"MessageStream":"inbound","From":`...), from.Email)
	if strings.Contains(from.Email, "@") {
		t = appendPostmarkAddress(append(t, `,"FromFull":`...), from)
	}
	t = appendPostmarkList(t, "To", m.To)
	t = appendPostmarkList(t, "Cc", m.CC)
	t = appendPostmarkList(t, "Bcc", bcc)
	if to != "" || !p.RawEmail { // Action Mailbox, which asks for RawEmail, takes no empty one
		t = appendString(append(t, `,"OriginalRecipient":`...), to)
	}
	t = appendString(append(t, `,"Subject":`...), text(m.Subject))
	t = appendString(append(t, `,"MessageID":`...), uuidOf(d.ID))
	t = appendString(append(t, `,"ReplyTo":`...), addresses(m.ReplyTo, false))
	t = appendString(append(t, `,"MailboxHash":`...), tag(to))
	date, _ := headerOf(m, "Date")
	t = appendString(append(t, `,"Date":`...), date)
	t = appendString(append(t, `,"TextBody":`...), text(m.Text))
	t = appendString(append(t, `,"HtmlBody":`...), text(m.HTML))
	*b.text = appendString(append(t, `,"StrippedTextReply":`...), replyText(m))
	if p.RawEmail {
		mail, err := newMailText(d.Octets, false)
		if err == nil {
			*b.text = append(*b.text, `,"RawEmail":`...)
			err = b.putJSON(mail.write)
		}
		if err != nil {
			b.Release()
			return nil, err
		}
	}
	*b.text = append(appendPostmarkHeaders(append(*b.text, `,"Tag":"","Headers":[`...), m.Headers), `],"Attachments":[`...)
	first := true
	for a := range o.place(d, true) {
		if !first {
			*b.text = append(*b.text, ',')
		}
		first = false
		if err := b.appendPostmarkAttachment(a); err != nil {
			b.Release()
			return nil, err
		}
	}
	*b.text = append(*b.text, "]}"...)
	return b, nil
}

// appendPostmarkList appends a list as text and in full. What the mail has in the
// place of an address is in the text alone: receivers rely on an "@" in the other.
func appendPostmarkList(b []byte, name string, list []parser.Address) []byte {
	b = appendString(append(b, `,"`+name+`":`...), addresses(list, true))
	b = append(b, `,"`+name+`Full":[`...)
	first := true
	for _, a := range list {
		if !strings.Contains(a.Email, "@") {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendPostmarkAddress(b, a)
	}
	return append(b, ']')
}

func appendPostmarkAddress(b []byte, a parser.Address) []byte {
	b = appendString(append(b, `{"Email":`...), a.Email)
	b = appendString(append(b, `,"Name":`...), oneLine(text(a.Name)))
	b = appendString(append(b, `,"MailboxHash":`...), tag(a.Email))
	return append(b, '}')
}

// appendPostmarkHeaders appends the fields that are no members of the event, with
// Return-Path first.
func appendPostmarkHeaders(b []byte, list []parser.Header) []byte {
	first := true
	add := func(h parser.Header) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(append(b, `{"Name":`...), h.Name)
		b = appendString(append(b, `,"Value":`...), h.Value)
		b = append(b, '}')
	}
	for _, h := range list {
		if strings.EqualFold(h.Name, "Return-Path") {
			add(h)
		}
	}
	for _, h := range list {
		switch strings.ToLower(h.Name) {
		case "return-path", "from", "to", "cc", "subject", "date", "reply-to":
		default:
			add(h)
		}
	}
	return b
}

func (body *Body) appendPostmarkAttachment(a placed) error {
	*body.text = append(appendString(append(*body.text, `{"Name":`...), nameOf(a.Attachment)), `,"Content":`...)
	if a.omitted != "" {
		*body.text = append(*body.text, `""`...)
	} else if err := body.appendContent(a.Attachment); err != nil {
		return readError(a.Attachment, err)
	}
	b := appendString(append(*body.text, `,"ContentType":`...), a.Type)
	b = appendInt(append(b, `,"ContentLength":`...), a.Size)
	// Receivers take an attachment with a ContentID, even an empty one, for an
	// image of the text.
	if a.CID != nil && *a.CID != "" {
		b = appendString(append(b, `,"ContentID":`...), *a.CID)
	}
	*body.text = append(b, '}')
	return nil
}

// uuidOf is the UUID, version 5 in the URL namespace (RFC 9562, section 5.5), of a
// delivery: as constant as its id.
func uuidOf(id string) string {
	namespace := [16]byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	u := sha1.Sum(append(namespace[:], "postferry:"+id...))
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
