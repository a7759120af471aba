package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// Field is one field of a message's header.
type Field struct{ Name, Value string }

// Message is what is published of one delivery. It must be released.
type Message struct {
	ID          string // the delivery's: the same on every attempt
	ContentType string
	// Header are the fields of the format, with names in lower case, and then those
	// of the configuration as they are written there, each in the order of names.
	Header []Field
	Body   []byte // valid until Release

	body *payload.Body
}

// Release gives the message up.
func (m *Message) Release() { m.body.Release() }

// fieldCost is what a field of a header costs beside its name and value, at most,
// in the protocols there are.
const fieldCost = 8

// size is that of header and body.
func (m *Message) size(body int64) int64 {
	n := body + int64(len(m.ID)+len(m.ContentType))
	for _, f := range m.Header {
		n += int64(len(f.Name) + len(f.Value) + fieldCost)
	}
	return n
}

// Maker makes messages. It is safe for concurrent use.
type Maker struct {
	options Options
	render  payload.Renderer
	smaller *payload.Renderer // for what is too large; nil where there is none
	header  []made
}

// made is a field of the configuration.
type made struct {
	name string
	text *payload.Text
}

// NewMaker makes a Maker of valid options. own are the names of header fields that
// the sink sets itself, in any case.
func NewMaker(o Options, r payload.Renderer, c clock.Clock, own ...string) (*Maker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if r.Clock == nil {
		r.Clock = c
	}
	m := &Maker{options: o, render: r}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		if slices.ContainsFunc(own, func(s string) bool { return strings.EqualFold(s, name) }) {
			return nil, config.At("headers", fmt.Errorf("%s is set by postferry itself", name))
		}
		text, err := payload.CompileText(o.Headers[name])
		if err != nil {
			return nil, err
		}
		m.header = append(m.header, made{name, text})
	}
	if o.Large != Dead {
		m.smaller = smaller(r)
	}
	return m, nil
}

// smaller is the renderer with attachments that are not in the body; nil where the
// body would not say where they are, and what says nothing was not asked for.
func smaller(r payload.Renderer) *payload.Renderer {
	linked := r
	linked.Options.Attachments = payload.Store
	if linked.Options.Link == nil {
		linked.Options.Link = func(*sinks.Delivery, *parser.Attachment) string { return "" }
	}
	if linked.Validate() != nil { // the format has no place for links
		return nil
	}
	switch r.Options.Attachments {
	case "", payload.Auto: // it may leave them out already
		linked.Options.Attachments, linked.Options.Link = payload.Metadata, r.Options.Link
		return &linked
	case payload.Inline, payload.Multipart:
		if r.Options.Link != nil {
			return &linked
		}
	}
	return nil
}

// Make makes the message of a delivery, of at most limit octets, header and body;
// 0 is no limit. Options.MaxSize holds besides. An error marked permanent is the
// mail's.
func (m *Maker) Make(d *sinks.Delivery, limit int64) (*Message, error) {
	if own := int64(m.options.MaxSize); own > 0 && (limit <= 0 || own < limit) {
		limit = own
	}
	made, err := m.with(m.render, d, limit)
	if _, large := err.(*tooLarge); large && m.smaller != nil {
		made, err = m.with(*m.smaller, d, limit)
	}
	if large, ok := err.(*tooLarge); ok {
		return nil, sinks.Permanent(large)
	}
	return made, err
}

// tooLarge is a message that the broker would not take.
type tooLarge struct{ size, limit int64 }

func (e *tooLarge) Error() string {
	return fmt.Sprintf("the message has %d octets, and the broker takes %d — raise the broker's limit, or send less: attachments: metadata, or store; large: link with a public_url", e.size, e.limit)
}

func (m *Maker) with(r payload.Renderer, d *sinks.Delivery, limit int64) (*Message, error) {
	body, err := r.Render(d)
	if err != nil {
		return nil, err
	}
	made := &Message{ID: d.ID, ContentType: body.ContentType, body: body}
	for _, name := range slices.Sorted(maps.Keys(body.Header)) {
		made.Header = append(made.Header, Field{strings.ToLower(name), strings.Join(body.Header[name], ", ")})
	}
	for _, f := range m.header {
		value, err := f.text.Fill(d, Value)
		if err != nil {
			made.Release()
			return nil, sinks.Permanent(fmt.Errorf("making header field %s of this mail: %w", f.name, err))
		}
		made.Header = append(made.Header, Field{f.name, value})
	}
	if size := made.size(body.Size()); limit > 0 && size > limit {
		made.Release()
		return nil, &tooLarge{size, limit}
	}
	if made.Body, err = body.ReadAll(); err != nil {
		made.Release()
		return nil, fmt.Errorf("reading the mail from the store: %w", err)
	}
	return made, nil
}

// longestValue is how much of a mail goes into one hole of a header field, in
// octets.
const longestValue = 2 << 10

// Value is a text of a mail as a header field may have it, in every protocol: what
// controls becomes a space, and what exceeds 2 KiB is cut.
func Value(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), longestValue)], "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), longestValue)], ""))
}

// Mask takes secrets out of the texts of servers and libraries. The zero Mask
// knows none.
type Mask struct{ replacer *strings.Replacer }

// shortest is the length from which a value is taken for a secret: a shorter one
// would blank out common words.
const shortest = 4

// NewMask makes a Mask of the values that must not be shown; empty ones are
// passed over.
func NewMask(values ...string) Mask {
	var list []string
	for _, v := range values {
		if len(v) >= shortest {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) }) // no part of a longer one is left over
	pairs := make([]string, 0, 2*len(list))
	for _, v := range list {
		pairs = append(pairs, v, secret.Masked)
	}
	return Mask{strings.NewReplacer(pairs...)}
}

// Clean is the text without secrets, and harmless to show.
func (m Mask) Clean(text string) string { return dial.Printable(m.Replace(text)) }

// Replace is the text without secrets.
func (m Mask) Replace(text string) string {
	if m.replacer == nil {
		return text
	}
	return m.replacer.Replace(text)
}
