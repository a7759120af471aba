package payload

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// open heeds the beginning of an element.
func (w *marker) open(tag atom.Atom, z *html.Tokenizer, more bool) {
	switch tag {
	case atom.Script, atom.Style, atom.Head, atom.Title, atom.Template:
		w.hidden++
	case atom.B, atom.Strong:
		w.want(w.bold)
	case atom.I, atom.Em:
		w.want(w.italic)
	case atom.S, atom.Strike, atom.Del:
		w.want(w.strike)
	case atom.Code, atom.Tt, atom.Kbd, atom.Samp:
		if w.pre == 0 && w.inside == "" {
			w.inside = "code"
		}
	case atom.A:
		w.flush()
		if to := address(attr(z, more, "href")); to != "" && w.hidden == 0 && w.pre == 0 {
			w.inside, w.href = "a", to
		}
	case atom.Img:
		if alt := attr(z, more, "alt"); alt != "" && w.hidden == 0 {
			w.text(alt)
		}
	case atom.Br:
		w.line(min(w.breaks+1, 2))
	case atom.Pre:
		w.line(2)
		w.pre++
	case atom.Blockquote:
		w.line(2)
		w.quotes++
	case atom.Ul, atom.Ol:
		w.line(1)
		if len(w.lists) < 1000 {
			w.lists = append(w.lists, list{numbered: tag == atom.Ol})
		}
	case atom.Li:
		w.line(1)
		if n := len(w.lists); n > 0 {
			if w.item != n { // else the one before is empty, and has no mark
				w.lists[n-1].items++
			}
			w.item = n
		}
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.line(2)
		if w.level = headings[tag]; w.heading == "" {
			w.want(w.bold)
		}
	case atom.Td, atom.Th:
		w.space = true
	default:
		w.line(blocks[tag])
	}
}

// close heeds the end of an element, whether it was open or not.
func (w *marker) close(tag atom.Atom) {
	switch tag {
	case atom.Script, atom.Style, atom.Head, atom.Title, atom.Template:
		w.hidden = max(0, w.hidden-1)
	case atom.B, atom.Strong:
		w.unwant(w.bold)
	case atom.I, atom.Em:
		w.unwant(w.italic)
	case atom.S, atom.Strike, atom.Del:
		w.unwant(w.strike)
	case atom.Code, atom.Tt, atom.Kbd, atom.Samp:
		if w.inside == "code" {
			w.flush()
		}
	case atom.A:
		w.flush()
	case atom.Pre:
		w.line(2)
		w.pre = max(0, w.pre-1)
	case atom.Blockquote:
		w.line(2)
		w.quotes = max(0, w.quotes-1)
	case atom.Ul, atom.Ol:
		w.lists = w.lists[:max(0, len(w.lists)-1)]
		w.item = 0
		w.line(1)
		if len(w.lists) == 0 {
			w.line(2)
		}
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.line(2)
		w.level = 0
		if w.heading == "" {
			w.unwant(w.bold)
		}
	default:
		w.line(blocks[tag])
	}
}

var headings = map[atom.Atom]int{atom.H1: 1, atom.H2: 2, atom.H3: 3, atom.H4: 4, atom.H5: 5, atom.H6: 6}

// blocks are the elements that stand on lines of their own, and the line ends
// before and after them.
var blocks = map[atom.Atom]int{
	atom.P: 2, atom.Div: 1, atom.Tr: 1, atom.Table: 2, atom.Section: 1, atom.Article: 1, atom.Header: 1, atom.Footer: 1, atom.Dl: 2, atom.Dt: 1,
	atom.Dd: 1, atom.Address: 1, atom.Hr: 2, atom.Center: 1, atom.Body: 1, atom.Li: 1, atom.Figure: 2, atom.Figcaption: 1, atom.Form: 1, atom.Fieldset: 1,
}

// line asks for line ends before the next word.
func (w *marker) line(n int) {
	if n == 0 {
		return
	}
	if w.inside != "" {
		w.flush()
	}
	w.breaks, w.space = max(w.breaks, n), false
}

func (w *marker) want(mark string) {
	if !slices.Contains(w.wanted, mark) {
		w.wanted = append(w.wanted, mark)
	}
}

func (w *marker) unwant(mark string) {
	w.wanted = slices.DeleteFunc(w.wanted, func(m string) bool { return m == mark })
}

// attr is the value of an attribute of the element just begun; "" where it
// has none.
func attr(z *html.Tokenizer, more bool, name string) string {
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if strings.EqualFold(string(key), name) {
			return string(value)
		}
	}
	return ""
}
