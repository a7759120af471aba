package payload

import (
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// EventType is the type of the native event of a mail.
const EventType = "message.received"

// native is the event described in docs/payload.md. Names inside data.message
// are those of JMAP's Email object (RFC 8621, section 4).
type native struct{}

func (native) Name() string        { return "native" }
func (native) ContentType() string { return "application/json" }

func (n native) Render(d *sinks.Delivery, o Options) (*Body, error) {
	if o.Attachments == Multipart {
		return n.form(d, o)
	}
	b := newBody("application/json")
	if err := b.appendEvent(d, o); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// form is the event as a form: the event in the field event, and each attachment
// a file in a field of its own, which the event names.
func (native) form(d *sinks.Delivery, o Options) (*Body, error) {
	f := newForm(d, multipartForm)
	f.part("event", "\r\nContent-Type: application/json")
	if f.err = f.appendEvent(d, o); f.err == nil {
		*f.text = append(*f.text, "\r\n"...)
	}
	for a := range o.place(d, false) {
		if a.field != "" {
			f.file(a.field, a.Attachment)
		}
	}
	return f.end()
}

// appendEvent appends the whole event.
func (b *Body) appendEvent(d *sinks.Delivery, o Options) error {
	t := append(*b.text, `{"id":`...)
	t = appendString(t, d.ID)
	t = append(t, `,"type":"`+EventType+`","timestamp":`...)
	t = appendUTC(t, d.Timestamp)
	t = append(t, `,"data":{"mailbox":`...)
	t = appendOrigin(t, &d.Origin)
	t = append(t, `,"message":`...)
	*b.text = t
	if err := b.appendMessage(d, o); err != nil {
		return err
	}
	*b.text = append(*b.text, "}}"...)
	return nil
}

// Message renders data.message of the native event alone, for a mail that was
// not taken from a mailbox.
func Message(m *parser.Message, o Options) (*Body, error) {
	b := newBody("application/json")
	if err := b.appendMessage(&sinks.Delivery{Message: m}, o); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

func appendOrigin(b []byte, o *sinks.Origin) []byte {
	b = appendString(append(b, `{"name":`...), o.Name)
	b = appendString(append(b, `,"protocol":`...), o.Protocol)
	b = appendStringOrNull(append(b, `,"folder":`...), o.Folder)
	b = appendUint32OrNull(append(b, `,"uidValidity":`...), o.UIDValidity)
	b = appendUint32OrNull(append(b, `,"uid":`...), o.UID)
	b = appendStringOrNull(append(b, `,"uidl":`...), o.UIDL)
	b = appendStrings(append(b, `,"flags":`...), o.Flags, false)
	return append(b, '}')
}

// appendMessage appends the message object.
func (body *Body) appendMessage(d *sinks.Delivery, o Options) error {
	*body.text = append(appendHead(*body.text, d.Message), `,"attachments":[`...)
	first := true
	for a := range o.place(d, false) {
		if !first {
			*body.text = append(*body.text, ',')
		}
		first = false
		if err := body.appendAttachment(a); err != nil {
			return readError(a.Attachment, err)
		}
	}
	*body.text = appendTail(append(*body.text, ']'), d.Message)
	return nil
}

// appendHead appends the members up to the bodies.
func appendHead(b []byte, m *parser.Message) []byte {
	b = appendStrings(append(b, `{"messageId":`...), m.MessageID, true)
	b = appendStrings(append(b, `,"inReplyTo":`...), m.InReplyTo, true)
	b = appendStrings(append(b, `,"references":`...), m.References, true)
	b = appendAddresses(append(b, `,"from":`...), m.From)
	b = appendAddresses(append(b, `,"sender":`...), m.Sender)
	b = appendAddresses(append(b, `,"replyTo":`...), m.ReplyTo)
	b = appendAddresses(append(b, `,"to":`...), m.To)
	b = appendAddresses(append(b, `,"cc":`...), m.CC)
	b = appendAddresses(append(b, `,"bcc":`...), m.BCC)
	b = appendStringOrNull(append(b, `,"subject":`...), m.Subject)
	b = appendSentAt(append(b, `,"sentAt":`...), m.SentAt)
	b = append(b, `,"receivedAt":`...)
	if m.ReceivedAt == nil {
		b = append(b, "null"...)
	} else {
		b = appendUTC(b, *m.ReceivedAt)
	}
	b = appendInt(append(b, `,"size":`...), m.Size)
	b = appendBool(append(b, `,"hasAttachment":`...), m.HasAttachment)
	b = appendString(append(b, `,"preview":`...), m.Preview)
	b = appendStringOrNull(append(b, `,"text":`...), m.Text)
	b = appendStringOrNull(append(b, `,"html":`...), m.HTML)
	return appendStringOrNull(append(b, `,"htmlSafe":`...), m.HTMLSafe)
}

// appendTail appends the members after the attachments.
func appendTail(b []byte, m *parser.Message) []byte {
	b = appendHeaders(append(b, `,"headers":`...), m.Headers)
	b = append(b, `,"reply":`...)
	if m.Reply == nil {
		b = append(b, "null"...)
	} else {
		b = appendString(append(b, `{"text":`...), m.Reply.Text)
		b = appendString(append(b, `,"quoted":`...), m.Reply.Quoted)
		b = append(b, '}')
	}
	b = appendString(append(b, `,"thread":{"key":`...), m.Thread.Key)
	b = appendStrings(append(b, `},"deliveredTo":`...), m.DeliveredTo, false)
	b = appendStrings(append(b, `,"recipientTags":`...), m.RecipientTags, false)
	b = appendBool(append(b, `,"automated":{"is":`...), m.Automated.Is)
	b = appendStringOrNull(append(b, `,"kind":`...), m.Automated.Kind)
	b = appendStringOrNull(append(b, `,"reason":`...), m.Automated.Reason)
	b = appendBounce(append(b, `},"bounce":`...), m.Bounce)
	b = appendList(append(b, `,"list":`...), m.List)
	b = appendCalendar(append(b, `,"calendar":`...), m.Calendar)
	b = appendStringOrNull(append(b, `,"authentication":{"spf":`...), m.Auth.SPF)
	b = appendStringOrNull(append(b, `,"dkim":`...), m.Auth.DKIM)
	b = appendStringOrNull(append(b, `,"dmarc":`...), m.Auth.DMARC)
	b = appendBool(append(b, `,"trusted":`...), m.Auth.Trusted)
	b = appendProblems(append(b, `},"problems":`...), m.Problems)
	return append(b, '}')
}

func (body *Body) appendAttachment(a placed) error {
	b := appendString(append(*body.text, `{"partId":`...), a.PartID)
	b = appendStringOrNull(append(b, `,"name":`...), a.Name)
	b = appendString(append(b, `,"safeName":`...), a.SafeName)
	b = appendString(append(b, `,"type":`...), a.Type)
	b = appendStringOrNull(append(b, `,"charset":`...), a.Charset)
	b = appendInt(append(b, `,"size":`...), a.Size)
	b = appendStringOrNull(append(b, `,"disposition":`...), a.Disposition)
	b = appendStringOrNull(append(b, `,"cid":`...), a.CID)
	b = appendString(append(b, `,"sha256":`...), a.SHA256)
	switch {
	case a.url != "":
		b = appendString(append(b, `,"encoding":null,"content":null,"url":`...), a.url)
		*body.text = append(b, `,"omitted":null}`...)
		return nil
	case a.field != "":
		b = appendString(append(b, `,"encoding":"multipart","content":`...), a.field)
		*body.text = append(b, `,"url":null,"omitted":null}`...)
		return nil
	case a.omitted != "":
		b = appendString(append(b, `,"encoding":null,"content":null,"url":null,"omitted":`...), a.omitted)
		*body.text = append(b, '}')
		return nil
	}
	*body.text = append(b, `,"encoding":"base64","content":`...)
	if err := body.appendContent(a.Attachment); err != nil {
		return err
	}
	*body.text = append(*body.text, `,"url":null,"omitted":null}`...)
	return nil
}

// appendSentAt appends the Date field in its own zone (RFC 3339).
func appendSentAt(b []byte, t *parser.Time) []byte {
	if t == nil {
		return append(b, "null"...)
	}
	b = t.AppendFormat(append(b, '"'), time.RFC3339)
	return append(b, '"')
}
