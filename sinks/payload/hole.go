package payload

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/expr"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// Text is a text with holes, "order {{ message.subject }}", compiled. What stands
// in a hole is an expression over message, mailbox, attachment, id and timestamp
// (docs/templates.md). It is safe for concurrent use.
type Text struct {
	pieces []piece
}

// piece is a hole, or the text between two.
type piece struct {
	text   string
	hole   *expr.Value[scene] // nil: text
	source string             // of the hole
}

// scene is what the expressions in holes speak of.
type scene struct {
	Message    *parser.Message          `json:"message"`
	Mailbox    *sinks.Origin            `json:"mailbox"`
	Attachment *parser.Attachment       `json:"attachment"` // one without octets where the delivery is the whole mail
	ID         string                   `json:"id"`
	Timestamp  time.Time                `json:"timestamp"`
	link       func(part string) string // nil: there are no links
}

func sceneOf(d *sinks.Delivery) *scene {
	s := &scene{Message: d.Message, Mailbox: &d.Origin, Attachment: &parser.Attachment{}, ID: d.ID, Timestamp: d.Timestamp.UTC()}
	for i := range d.Message.Attachments {
		if a := &d.Message.Attachments[i]; d.Part != "" && a.PartID == d.Part {
			s.Attachment = a
		}
	}
	return s
}

// CompileText compiles a text. Its error shows the hole, says what is wrong with
// it and where, and what was probably meant.
func CompileText(source string) (*Text, error) {
	t := &Text{}
	for rest := source; rest != ""; {
		before, after, found := strings.Cut(rest, "{{")
		if before != "" {
			t.pieces = append(t.pieces, piece{text: before})
		}
		if !found {
			break
		}
		inside, beyond, err := endOfHole(after)
		if err != nil {
			return nil, err
		}
		hole, err := holes.CompileValue(inside)
		if err != nil {
			return nil, fmt.Errorf("{{%s}}: %w", inside, err)
		}
		t.pieces = append(t.pieces, piece{hole: hole, source: strings.TrimSpace(inside)})
		rest = beyond
	}
	return t, nil
}

// endOfHole parts a text after "{{" at the "}}" that ends the hole: one that
// stands in no literal of the expression.
func endOfHole(s string) (inside, beyond string, err error) {
	for i := range unquoted(s) {
		if strings.HasPrefix(s[i:], "}}") {
			return s[:i], s[i+2:], nil
		}
	}
	return "", "", errors.New(`a hole that "{{" begins has no "}}"; where the text itself has braces, write {{ "{{" }}`)
}

// unquoted are the octets of an expression, with their places, that stand in no
// literal of it.
func unquoted(s string) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		var quote byte
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case quote != 0 && c == '\\' && quote != '`':
				i++
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'' || c == '`':
				quote = c
			case !yield(i, c):
				return
			}
		}
	}
}

// Fixed tells whether the text has no holes, so that it is the same for every
// mail.
func (t *Text) Fixed() bool {
	for _, p := range t.pieces {
		if p.hole != nil {
			return false
		}
	}
	return true
}

// With is the text with a word in each hole, by the hole's number from 0.
func (t *Text) With(word func(n int) string) string {
	var b strings.Builder
	n := 0
	for _, p := range t.pieces {
		if p.hole == nil {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(word(n))
		n++
	}
	return b.String()
}

// Fill is the text for one mail. put makes of each hole's text what may stand
// there; nil leaves it as it is. The error says which hole could not be filled.
func (t *Text) Fill(d *sinks.Delivery, put func(string) string) (string, error) {
	return t.fill(sceneOf(d), put)
}

func (t *Text) fill(s *scene, put func(string) string) (string, error) {
	var b strings.Builder
	for n, p := range t.pieces {
		if p.hole == nil {
			b.WriteString(p.text)
			continue
		}
		value, err := p.hole.Eval(s)
		if err != nil {
			return "", fmt.Errorf("hole %d: %w", t.number(n), err)
		}
		text, err := textOf(value)
		if err != nil {
			return "", fmt.Errorf("hole %d: %w", t.number(n), err)
		}
		if put != nil {
			text = put(text)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// number counts the holes up to piece n.
func (t *Text) number(n int) int {
	count := 0
	for _, p := range t.pieces[:n+1] {
		if p.hole != nil {
			count++
		}
	}
	return count
}

// value is the hole's own value where the text is one hole and nothing else.
func (t *Text) value() (hole *expr.Value[scene], whole bool) {
	if len(t.pieces) != 1 || t.pieces[0].hole == nil {
		return nil, false
	}
	return t.pieces[0].hole, true
}
