package payload

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// marked writes HTML in a dialect, in at most n units of UTF-16 (so in as many
// characters at most, however they are counted). Nothing is cut in two: where
// there is no room left, open marks are closed and an ellipsis ends the text.
func marked(s string, n int, d *dialect) string {
	w := &marker{dialect: d, limit: n}
	z := html.NewTokenizer(strings.NewReader(s))
	for !w.full {
		switch z.Next() {
		case html.ErrorToken:
			w.flush()
			w.closeAll()
			return w.out.String()
		case html.TextToken:
			if w.hidden == 0 {
				w.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			w.open(atom.Lookup(name), z, more)
		case html.EndTagToken:
			name, _ := z.TagName()
			w.close(atom.Lookup(name))
		}
	}
	return w.out.String()
}

// longestPiece is the most a character comes to once it is escaped: "&amp;".
const longestPiece = 5

// deepest is how deep lists and quotes are shown.
const deepest = 4

type marker struct {
	*dialect
	out   strings.Builder
	size  int // of out, in units of UTF-16
	limit int
	full  bool // an ellipsis stands at the end

	breaks int  // line ends due before the next word
	space  bool // a space due before it
	start  bool // nothing but marks stands on this line
	before rune
	hidden int // within a script, a style or the head

	wanted, active []string // marks around the words to come; around those written last
	quotes         int
	lists          []list
	item           int // of lists: the next word begins an item in the innermost of them; 0: it does not
	level          int // of the heading the next word begins
	pre            int

	inside string // "a" or "code": words are gathered
	href   string
	label  strings.Builder
}

// measure counts the units of UTF-16 in a text.
func measure(s string) (n int) {
	for _, r := range s {
		n += utf16Units(r)
	}
	return n
}

// fits tells whether that many units more leave room for what has to follow.
func (w *marker) fits(n int) bool {
	for _, m := range w.active {
		n += len(m)
	}
	return w.size+n+1 <= w.limit
}

func (w *marker) put(s string) {
	w.out.WriteString(s)
	w.size += measure(s)
}

// end closes the text where there is no room for more.
func (w *marker) end() {
	if w.full {
		return
	}
	w.full = true
	if w.size+1 > w.limit { // there was never room
		return
	}
	w.put("…")
	for i := len(w.active) - 1; i >= 0; i-- {
		w.put(w.active[i])
	}
	w.active = nil
}

// closeAll closes the marks around the words written last.
func (w *marker) closeAll() {
	if w.full {
		return
	}
	for i := len(w.active) - 1; i >= 0; i-- {
		w.put(w.active[i])
	}
	w.active = nil
}

// lead writes what stands before the next word: line ends, the marks of quotes
// and items, a space; and opens the marks it stands in. It is false where there
// is no room for that and a word.
func (w *marker) lead(word int) bool {
	if w.full {
		return false
	}
	if !same(w.active, w.wanted) || w.breaks > 0 {
		w.closeAll()
	}
	before := ""
	if w.out.Len() == 0 || w.breaks > 0 {
		if w.out.Len() > 0 {
			before = strings.Repeat("\n", w.breaks)
		}
		before += strings.Repeat("> ", min(w.quotes, deepest)) + w.itemMark()
		if w.level > 0 && w.heading != "" {
			before += strings.Repeat(w.heading, w.level) + " "
		}
		w.start, w.before = true, 0
	} else if w.space {
		before = " "
		w.before = ' '
	}
	opening := strings.Join(w.wanted, "")
	if same(w.active, w.wanted) {
		opening = ""
	}
	if !w.fits(measure(before) + 2*len(opening) + word) {
		w.end()
		return false
	}
	w.put(before + opening)
	w.active = append([]string(nil), w.wanted...)
	w.breaks, w.space, w.item, w.level = 0, false, 0, 0
	return true
}

// list is one that is open.
type list struct {
	numbered bool
	items    int  // so far
	shown    bool // one of them is
}

// itemMark is what stands before a word because of the lists it is in: of an item
// its mark. A list of which no item is shown indents nothing, or Markdown would take
// the word for code.
func (w *marker) itemMark() string {
	if w.item > 0 {
		w.lists[w.item-1].shown = true
	}
	depth := 0
	for _, l := range w.lists {
		if l.shown {
			depth++
		}
	}
	if depth == 0 {
		return ""
	}
	indent := strings.Repeat("    ", min(depth, deepest)-1)
	if w.item == 0 {
		return indent + "  "
	}
	if l := w.lists[w.item-1]; l.numbered {
		return indent + strconv.Itoa(l.items) + ". "
	}
	return indent + w.bullet
}

func same(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// text writes text, white space collapsed unless it is preformatted.
func (w *marker) text(s string) {
	if w.inside != "" {
		if w.label.Len() < 2000 {
			w.label.WriteString(s)
		}
		return
	}
	if w.pre > 0 {
		for i, line := range strings.Split(s, "\n") {
			if i > 0 {
				w.breaks++
			}
			if line = strings.TrimRight(line, "\r"); line != "" {
				w.word(line)
			}
		}
		return
	}
	for s != "" && !w.full {
		i := strings.IndexFunc(s, unicode.IsSpace)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			w.word(s[:i])
			s = s[i:]
			continue
		}
		w.space = true
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
	}
}

// word writes a word, character by character as far as there is room.
func (w *marker) word(s string) {
	first := true
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if unicode.Is(unicode.Cc, r) {
			continue
		}
		if first && !w.lead(longestPiece) {
			return
		}
		first = false
		piece := w.escape(w.before, r, w.start)
		if !w.fits(measure(piece)) {
			w.end()
			return
		}
		w.put(piece)
		if !unicode.IsDigit(r) && !unicode.IsSpace(r) {
			w.start = false
		}
		w.before = r
	}
}

// whole writes what must not be cut in two.
func (w *marker) whole(s string) {
	if w.lead(measure(s)) {
		w.put(s)
		w.start = false
		w.before, _ = utf8.DecodeLastRuneInString(s)
	}
}

// escaped is a text in one line, as it may stand in a link, short enough for one.
func (w *marker) escaped(s string) string {
	var b strings.Builder
	before := rune(0)
	for _, r := range truncate(strings.Join(strings.Fields(s), " "), 200, runes) {
		if unicode.Is(unicode.Cc, r) {
			continue
		}
		b.WriteString(w.escape(before, r, false))
		before = r
	}
	return b.String()
}

// flush writes what was gathered within a link or a code.
func (w *marker) flush() {
	inside, text := w.inside, w.label.String()
	w.inside = ""
	w.label.Reset()
	switch {
	case inside == "code":
		text = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "`", "'")), " ")
		if w.dialect == &mrkdwn {
			text = escapeMrkdwn(text)
		}
		if text != "" {
			w.whole("`" + text + "`")
		}
	case inside == "a":
		label, to := w.escaped(text), w.href
		if strings.TrimSpace(text) == to || to == "" && label == "" {
			label = ""
		}
		switch {
		case to == "":
			w.text(text)
		case label == "" && strings.TrimSpace(text) != to: // a picture alone, or nothing
		default:
			w.whole(w.link(to, label))
		}
	}
}
