package payload

import (
	"errors"
	"fmt"
	"html"
	"strings"

	"github.com/postferry/postferry/sinks"
)

// Whole tells whether the text is one hole and nothing else.
func (t *Text) Whole() bool {
	_, whole := t.value()
	return whole
}

// Values are what the text's holes hold for one mail, in order: nil for what is
// absent, a string, a parser.Address, a []parser.Address, a []string and so on. For
// who must tell what the operator wrote from what the mail says.
func (t *Text) Values(d *sinks.Delivery) ([]any, error) {
	s := sceneOf(d)
	var values []any
	for n, p := range t.pieces {
		if p.hole == nil {
			continue
		}
		v, err := p.hole.Eval(s)
		if err != nil {
			return nil, fmt.Errorf("hole %d: %w", t.number(n), err)
		}
		values = append(values, v)
	}
	return values, nil
}

// TextOf is what one of Values is within a text.
func TextOf(v any) (string, error) { return textOf(v) }

// CompileHTML compiles HTML with holes. What a hole holds is text, and shows as it
// is, unless the hole is safeHTML(…) or message.htmlSafe. A hole may stand in the
// text, or in an attribute behind what the attribute begins with
// (href="https://example.com/{{ urlEncode(id) }}"), so that no mail chooses where
// a link leads, or the script it would run.
func CompileHTML(source string) (*Text, error) {
	t, err := CompileText(source)
	if err != nil {
		return nil, err
	}
	var place htmlPlace
	for n, p := range t.pieces {
		if p.hole == nil {
			place.pass(p.text)
			continue
		}
		if err := place.takes(p); err != nil {
			return nil, fmt.Errorf("{{ %s }} (hole %d): %w", p.source, t.number(n), err)
		}
	}
	return t, nil
}

// FillHTML is the HTML for one mail, of a Text that CompileHTML made.
func (t *Text) FillHTML(d *sinks.Delivery) (string, error) {
	safe := make([]bool, 0, len(t.pieces))
	for _, p := range t.pieces {
		if p.hole != nil {
			safe = append(safe, p.isHTML())
		}
	}
	n := -1
	return t.Fill(d, func(s string) string {
		n++
		if safe[n] {
			return safeHTML(s, 2*len(s)+64) // again, for the ends of elements
		}
		return html.EscapeString(s)
	})
}

// isHTML tells the holes whose text is markup.
func (p piece) isHTML() bool {
	return p.source == "message.htmlSafe" || strings.HasPrefix(p.source, "safeHTML(") && closesAtEnd(p.source[len("safeHTML"):])
}

// closesAtEnd tells whether the bracket that s begins with is closed by its last
// character, as far as brackets within literals do not matter.
func closesAtEnd(s string) bool {
	depth := 0
	for i, c := range unquoted(s) {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i == len(s)-1
			}
		}
	}
	return false
}

// htmlPlace is where in HTML a text has got to.
type htmlPlace struct {
	inTag bool
	quote byte // of an attribute's value; 0: not in one
	value int  // octets of it so far
	raw   bool // behind <script or <style, which have no text
}

func (h *htmlPlace) pass(s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case h.quote != 0 && c == h.quote:
			h.quote = 0
		case h.quote != 0:
			h.value++
		case h.inTag && (c == '"' || c == '\''):
			h.quote, h.value = c, 0
		case h.inTag && c == '>':
			h.inTag = false
		case !h.inTag && c == '<':
			rest := strings.ToLower(s[i+1 : min(len(s), i+10)])
			h.inTag = true
			h.raw = h.raw || strings.HasPrefix(rest, "script") || strings.HasPrefix(rest, "style")
		}
	}
}

func (h *htmlPlace) takes(p piece) error {
	switch {
	case h.raw:
		return errors.New("no hole may stand in or behind <script> or <style>")
	case h.inTag && h.quote == 0:
		return errors.New("within a tag, a hole stands in a value with quotation marks, and nowhere else")
	case h.inTag && h.value == 0:
		return errors.New(`the value of an attribute may not begin with a hole; write its beginning, as in href="https://…{{ urlEncode(id) }}"`)
	case h.inTag && p.isHTML():
		return errors.New("HTML has no place within a tag")
	}
	return nil
}
