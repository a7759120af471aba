package parser

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// parse is one mail being read.
type parse struct {
	r   io.ReaderAt
	src *source
	lim Limits
	msg *Message

	open       []*part // the multiparts that are open, outermost first
	parts      int     // read so far
	reread     int64   // octets looked at once more to mend boundaries
	found      findings
	fallback   string          // the charset the mail names for its text; "" where it names none
	cids       map[string]bool // the ids the HTML names
	textOfHTML bool            // the text was made of the HTML

	headerTotal int // octets of all headers
}

// Parse reads the mail of size octets in r. It fails only where r does: whatever
// the mail says, there is a Message, and what had to be mended is in its
// Problems. The attachments of the Message go on reading r.
func Parse(r io.ReaderAt, size int64, lim Limits) (m *Message, err error) {
	p := &parse{r: r, src: newSource(r, size), lim: lim.withDefaults(), msg: newMessage(size)}
	defer p.src.release()
	defer func() {
		if fault := recover(); fault != nil {
			// A defect here must not stop a mail: it arrives with what was read.
			p.problem(ProblemFault, "", clip(fmt.Sprint(fault), 200))
			m, err = p.msg, p.src.err
			p.finish()
		}
	}()
	p.message()
	if p.src.err != nil {
		return nil, p.src.err
	}
	if p.src.size < size {
		p.problem(ProblemAmbiguousLength, "", "the source ended before the size it was given with")
	}
	return p.msg, nil
}

// newMessage is a Message whose lists are empty instead of nil.
func newMessage(size int64) *Message {
	return &Message{
		Size: size, Attachments: []Attachment{}, Headers: []Header{}, DeliveredTo: []string{},
		RecipientTags: []string{}, Calendar: []Event{}, Problems: []Problem{},
	}
}

func (p *parse) message() {
	root := p.walk(p.begin())
	h := root.header
	if len(h) == 0 && p.src.size > 0 {
		p.problem(ProblemNoHeader, "header", "the mail has no header; all of it is body")
	}
	p.fields(h)
	b := p.bodies(root)
	p.texts(b)
	p.attachments(b)
	p.reports(root)
	p.completeText()
	p.derive(h, root)
	p.finish()
}

// begin passes over what may stand before the header: a byte order mark and
// empty lines.
func (p *parse) begin() int64 {
	b := p.src.at(0, 1024)
	rest := bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if trimmed := bytes.TrimLeft(rest, "\r\n"); len(trimmed) > 0 && isFieldLine(trimmed[:min(len(trimmed), 500)]) {
		rest = trimmed
	}
	return int64(len(b) - len(rest))
}

// fields reads the header fields every mail has.
func (p *parse) fields(h header) {
	m := p.msg
	m.Headers = make([]Header, 0, len(h))
	for i := range h {
		f := &h[i]
		name, value := f.name, f.value
		if !isPlain(value) {
			value = p.decodeText(value, "header "+f.name)
		}
		if !isPlain(name) {
			name = validUTF8(name)
		}
		m.Headers = append(m.Headers, Header{name, value})
	}
	m.MessageID = p.ids(h, "Message-ID")
	m.InReplyTo = p.ids(h, "In-Reply-To")
	m.References = p.ids(h, "References")
	m.From = p.addresses(h, "From")
	m.Sender = p.addresses(h, "Sender")
	m.ReplyTo = p.addresses(h, "Reply-To")
	m.To = p.addresses(h, "To")
	m.CC = p.addresses(h, "Cc")
	m.BCC = p.addresses(h, "Bcc")
	// RFC 5322 section 3.6: these stand at most once.
	for _, name := range [...]string{"From", "Sender", "To", "Subject", "Date", "Message-ID"} {
		if h.count(name) < 2 {
			continue
		}
		detail := "the field stands more than once; the last holds"
		if name == "From" || name == "Sender" || name == "To" {
			detail = "the field stands more than once; the addresses of all are listed"
		}
		p.problem(ProblemDuplicateField, "header "+name, detail)
	}
	if raw, ok := h.get("Subject"); ok {
		s := raw
		if !isPlain(raw) {
			s = p.decodeText(raw, "header Subject")
		}
		m.Subject = &s
	}
	if raw, ok := h.get("Date"); ok && raw != "" {
		if t, ok := readDate(raw); ok {
			m.SentAt = &Time{t}
		} else {
			p.problem(ProblemBadDate, "header Date", clip(raw, 80))
		}
	}
}

// isPlain tells whether a value is ASCII text in one line and without
// encoded-words, so that it stands for itself.
func isPlain(s string) bool {
	i := 0
	for ; i+8 <= len(s); i += 8 { // eight octets at a time
		w := binary.LittleEndian.Uint64([]byte(s[i : i+8]))
		equals, del := w^octets8*'=', w^octets8*0x7f
		// A high bit is set for each octet that is above 127, below 32, "=" or DEL, and
		// perhaps for one above such an octet.
		if (w|(w-octets8*' ')|(equals-octets8)|(del-octets8))&(octets8<<7) != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == '=' && i+1 < len(s) && s[i+1] == '?' {
			return false
		}
	}
	return true
}

// octets8 is the octet 1, eight times.
const octets8 = 0x0101010101010101

// finish makes what is derived from everything else, and what is never empty.
func (p *parse) finish() {
	m := p.msg
	switch {
	case m.Text != nil && m.HTML != nil && p.textOfHTML:
		m.Preview = preview(htmlText(*m.HTML, false, 4<<10)) // the links would fill it
	case m.Text != nil:
		m.Preview = preview(*m.Text)
	}
	if m.Thread.Key == "" {
		m.Thread.Key = threadKey(m)
	}
}

// maxPreview is how many characters a preview has (RFC 8621 section 4.1.4).
const maxPreview = 256

// preview is the beginning of a text in one line.
func preview(text string) string {
	b := make([]byte, 0, maxPreview+64)
	n, space := 0, false
	for _, r := range text {
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\u00a0' {
			space = n > 0
			continue
		}
		if r >= utf8.RuneSelf && (r == '\u00ad' || r == '\u034f' || r == '\u200b' || r == '\u200c' || r == '\u200e' || r == '\u200f' || r == '\ufeff') {
			continue // newsletters fill the preview with them
		}
		if space {
			if n++; n >= maxPreview {
				break
			}
			b = append(b, ' ')
			space = false
		}
		b = utf8.AppendRune(b, r)
		if n++; n >= maxPreview {
			break
		}
	}
	return string(b)
}
