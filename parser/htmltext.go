package parser

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlText makes plain text of HTML: blocks become lines, lists get their marks,
// quotes a ">", and a link its address after its words where links is true. No
// more than limit octets are made.
func htmlText(s string, links bool, limit int) string {
	w := htmlWriter{links: links, limit: limit}
	z := html.NewTokenizer(strings.NewReader(s))
	for w.out.Len() < limit {
		switch z.Next() {
		case html.ErrorToken:
			w.endLink()
			return clip(strings.Trim(w.out.String(), "\n"), limit)
		case html.TextToken:
			if !w.hidden {
				w.text(string(z.Text()))
			}
			w.hidden = false
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			w.open(atom.Lookup(name), z, more)
		case html.EndTagToken:
			name, _ := z.TagName()
			w.hidden = false
			w.close(atom.Lookup(name))
		}
	}
	return clip(strings.Trim(w.out.String(), "\n"), limit)
}

// maxQuoteMarks bounds the marks before a line, and how deep lists are counted:
// a line costs no more, however deep it lies.
const maxQuoteMarks = 8

type htmlWriter struct {
	out    strings.Builder
	links  bool
	limit  int
	hidden bool // the next text is no text for people: a script, a style

	breaks  int  // line ends to write before the next word
	space   bool // white space to write before the next word
	written bool // something stands on this line
	pre     int
	quotes  int
	above   int   // the quotes the line above stands in
	lists   []int // of the open lists, the next number; -1 for bullets

	href     string // of the open link
	linkText strings.Builder
}

// text writes text, white space collapsed unless it is preformatted.
func (w *htmlWriter) text(s string) {
	if w.pre > 0 {
		for i, line := range strings.Split(s, "\n") {
			if i > 0 {
				w.lineEnd()
			}
			if line != "" {
				w.word(line)
			}
		}
		return
	}
	for s != "" {
		i := strings.IndexAny(s, " \t\r\n\f")
		if i < 0 {
			w.word(s)
			return
		}
		if i > 0 {
			w.word(s[:i])
		}
		w.space = true
		s = strings.TrimLeft(s[i:], " \t\r\n\f")
	}
}

// word writes s on the current line, after the breaks and the space due.
func (w *htmlWriter) word(s string) {
	if w.out.Len() >= w.limit {
		return
	}
	if w.breaks > 0 || w.out.Len() == 0 {
		n := w.breaks
		if w.out.Len() == 0 {
			n = 0
		}
		for i := range n {
			w.out.WriteByte('\n')
			if i < n-1 {
				w.out.WriteString(strings.TrimRight(marks(min(w.quotes, w.above)), " "))
			}
		}
		w.out.WriteString(marks(w.quotes))
		w.above = w.quotes
		w.breaks, w.space = 0, false
	} else if w.space && w.written {
		w.out.WriteByte(' ')
	}
	if w.href != "" && w.linkText.Len() < 4096 {
		if w.space {
			w.linkText.WriteByte(' ')
		}
		w.linkText.WriteString(s)
	}
	w.space, w.written = false, true
	w.out.WriteString(s)
}

func marks(quotes int) string { return strings.Repeat("> ", min(quotes, maxQuoteMarks)) }

// lineEnd ends the line, even an empty one.
func (w *htmlWriter) lineEnd() {
	w.breaks = min(w.breaks+1, 2)
	w.written, w.space = false, false
}

// block makes the next word begin a line, after a blank one where gap is true.
func (w *htmlWriter) block(gap bool) {
	n := 1
	if gap {
		n = 2
	}
	if w.out.Len() > 0 {
		w.breaks = max(w.breaks, n)
	}
	w.written, w.space = false, false
}

func (w *htmlWriter) open(tag atom.Atom, z *html.Tokenizer, more bool) {
	w.hidden = false
	switch tag {
	case atom.Script, atom.Style, atom.Title, atom.Iframe, atom.Noembed, atom.Noframes:
		w.hidden = true // the text of these is one token
	case atom.Br:
		w.lineEnd()
	case atom.Pre:
		w.block(true)
		w.pre++
	case atom.Blockquote:
		w.block(true)
		w.quotes++
	case atom.Ul, atom.Ol:
		w.block(len(w.lists) == 0)
		if len(w.lists) < maxQuoteMarks {
			n := -1
			if tag == atom.Ol {
				n = 1
			}
			w.lists = append(w.lists, n)
		}
	case atom.Li:
		w.item()
	case atom.Td, atom.Th:
		w.space = true
	case atom.Hr:
		w.block(false)
		w.word("________________________________")
		w.block(false)
	case atom.Img:
		if alt := strings.TrimSpace(attribute(z, more, "alt")); alt != "" {
			w.text(alt)
		}
	case atom.A:
		w.endLink()
		if w.links {
			w.href = linkTarget(attribute(z, more, "href"))
			w.linkText.Reset()
		}
	default:
		w.edge(tag)
	}
}

func (w *htmlWriter) close(tag atom.Atom) {
	switch tag {
	case atom.Pre:
		w.pre = max(w.pre-1, 0)
		w.block(true)
	case atom.Blockquote:
		w.block(true)
		w.quotes = max(w.quotes-1, 0)
	case atom.Ul, atom.Ol:
		if len(w.lists) > 0 {
			w.lists = w.lists[:len(w.lists)-1]
		}
		w.block(len(w.lists) == 0)
	case atom.A:
		w.endLink()
	default:
		w.edge(tag)
	}
}

// edge is the beginning or the end of a block.
func (w *htmlWriter) edge(tag atom.Atom) {
	switch tag {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Dl:
		w.block(true)
	case atom.Div, atom.Tr, atom.Table, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Address, atom.Center, atom.Dt, atom.Dd,
		atom.Form, atom.Fieldset, atom.Li, atom.Caption, atom.Figure, atom.Figcaption, atom.Main, atom.Nav, atom.Aside, atom.Body:
		w.block(false)
	}
}

// item begins an entry of the innermost list.
func (w *htmlWriter) item() {
	w.block(false)
	mark := "- "
	if n := len(w.lists); n > 0 {
		if next := w.lists[n-1]; next > 0 {
			mark = strconv.Itoa(next) + ". "
			w.lists[n-1]++
		}
		mark = strings.Repeat("  ", n-1) + mark
	}
	w.word(mark)
	w.written = false
}

// endLink writes where a link leads, unless its words say it.
func (w *htmlWriter) endLink() {
	if w.href == "" {
		return
	}
	href, said := w.href, strings.TrimSpace(w.linkText.String())
	w.href = ""
	if said == "" || said == href || "mailto:"+said == href || strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(href, "https://"), "http://"), "/") == strings.TrimSuffix(said, "/") {
		return
	}
	w.space = true
	w.word("<" + href + ">")
}

// linkTarget is the address of a link a reader of plain text can use.
func linkTarget(href string) string {
	href = strings.TrimSpace(href)
	for _, scheme := range [...]string{"https:", "http:", "mailto:"} {
		if len(href) > len(scheme) && strings.EqualFold(href[:len(scheme)], scheme) && len(href) <= 8<<10 && !strings.ContainsAny(href, " \t\r\n<>") {
			return href
		}
	}
	return ""
}

// attribute returns an attribute of the tag z stands on.
func attribute(z *html.Tokenizer, more bool, name string) string {
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) == name {
			return string(value)
		}
	}
	return ""
}

// metaCharset is the charset an HTML document names itself (HTML Living Standard,
// section 13.2.3.2), "" where it names none within its beginning.
func metaCharset(octets []byte) string {
	z := html.NewTokenizer(strings.NewReader(string(octets[:min(len(octets), 4<<10)])))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			switch atom.Lookup(name) {
			case atom.Body:
				return ""
			case atom.Meta:
				if name := metaTag(z, more); name != "" {
					return name
				}
			}
		}
	}
}

func metaTag(z *html.Tokenizer, more bool) string {
	content := ""
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch string(key) {
		case "charset":
			return asciiSuperset(string(value))
		case "content":
			content = string(value)
		}
	}
	if i := strings.Index(strings.ToLower(content), "charset="); i >= 0 {
		name := strings.TrimLeft(content[i+len("charset="):], " \t\"'")
		if end := strings.IndexAny(name, " \t;\"'"); end >= 0 {
			name = name[:end]
		}
		return asciiSuperset(name)
	}
	return ""
}

// asciiSuperset reads UTF-16 as UTF-8, as the standard wants it: the tag could
// not have been read otherwise.
func asciiSuperset(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if strings.HasPrefix(name, "utf-16") {
		return "utf-8"
	}
	return name
}
