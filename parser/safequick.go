package parser

import (
	"strings"
	"sync"

	"golang.org/x/net/html"
)

// quickHTML does to simple HTML what the sanitiser does, several times faster. It
// knows a part of the syntax only, and gives up (false) where the HTML leaves it:
// what it returns is what safeHTML's policy returns, octet for octet, which a test
// and a fuzz target hold it to. A tag of which it does not know all is given to the
// sanitiser alone.
func quickHTML(s string, limit int) (string, bool) {
	if strings.IndexByte(s, 0) >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return "", false
	}
	q := quickSafe{s: s, limit: limit, kinds: elementKinds()}
	q.out.Grow(min(len(s), limit) + len(s)/16 + 64)
	for q.at < len(s) {
		before := q.out.Len()
		if !q.step() {
			return "", false
		}
		if q.out.Len() > limit { // what does not fit whole is left out, and all after it
			return q.out.String()[:before], true
		}
	}
	return q.out.String(), true
}

type quickSafe struct {
	s     string
	at    int
	limit int
	out   strings.Builder
	kinds map[string]elementKind
	bare  []string          // the open elements whose tags were left out for want of attributes
	known map[string]string // what the sanitiser made of tags
	tag   []byte
}

// elementKind is what the policy does with an element.
type elementKind byte

const (
	elementDropped elementKind = iota // its tags are left out, what is within stays
	elementKept
	elementBare   // kept where it has attributes
	elementHidden // what is within is left out too, or is no HTML
)

// elementKinds asks the policy about each element it may keep.
var elementKinds = sync.OnceValue(func() map[string]elementKind {
	kinds := map[string]elementKind{}
	for _, name := range strings.Fields("a abbr acronym address area article aside b bdi bdo big blockquote body br button canvas caption center cite code col colgroup dd del details dfn dir div dl dt em fieldset figcaption " +
		"figure font footer form h1 h2 h3 h4 h5 h6 head header hgroup hr html i img input ins kbd label legend li link main map mark menu meta meter nav ol optgroup option p param picture pre progress q rp rt ruby s samp section select " +
		"small source span strike strong sub summary sup svg table tbody td tfoot th thead time tr track tt u ul var wbr") {
		switch {
		case sanitise("<"+name+">") != "":
			kinds[name] = elementKept
		case sanitise("<"+name+` id="a">`) != "":
			kinds[name] = elementBare
		default:
			kinds[name] = elementDropped
		}
	}
	for _, name := range strings.Fields("applet audio embed frame frameset iframe math noembed noframes noscript nostyle object plaintext script style svg template textarea title video xmp") {
		kinds[name] = elementHidden
	}
	return kinds
})

// keptAttributes are those the policy may keep on one element or another.
var keptAttributes = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Fields("dir lang id title href cite type value height width summary align span valign abbr colspan rowspan headers scope nowrap alt src color size face bgcolor border cellpadding cellspacing") {
		names[name] = true
	}
	return names
}()

// step takes the next token; false where it is none of those known here.
func (q *quickSafe) step() bool {
	n := strings.IndexByte(q.s[q.at:], '<')
	if n != 0 {
		if n < 0 {
			n = len(q.s) - q.at
		}
		q.text(q.s[q.at : q.at+n])
		q.at += n
		return true
	}
	rest := q.s[q.at+1:]
	switch {
	case rest == "":
		return false
	case rest[0] == '!':
		return q.declaration(rest[1:])
	case rest[0] == '/':
		return q.endTag()
	}
	return q.startTag()
}

// text writes text as the sanitiser does: references resolved, then what is
// special escaped.
func (q *quickSafe) text(s string) {
	if strings.IndexByte(s, '&') >= 0 {
		s = html.UnescapeString(s)
	}
	for s != "" {
		i := 0
		for i < len(s) && !escapedInText[s[i]] {
			i++
		}
		q.out.WriteString(s[:i])
		if i == len(s) || q.out.Len() > q.limit {
			return
		}
		switch s[i] {
		case '&':
			q.out.WriteString("&amp;")
		case '\'':
			q.out.WriteString("&#39;")
		case '<':
			q.out.WriteString("&lt;")
		case '>':
			q.out.WriteString("&gt;")
		case '"':
			q.out.WriteString("&#34;")
		case '\r':
			q.out.WriteString("&#13;")
		}
		s = s[i+1:]
	}
}

var escapedInText = [256]bool{'&': true, '\'': true, '<': true, '>': true, '"': true, '\r': true}

// declaration passes over a comment or a document type.
func (q *quickSafe) declaration(rest string) bool {
	if !strings.HasPrefix(rest, "--") {
		end := strings.IndexByte(rest, '>')
		q.at += 2 + end + 1
		return end >= 0
	}
	rest = rest[2:]
	end := strings.Index(rest, "-->")
	if end < 0 || rest[0] == '>' || strings.HasPrefix(rest, "->") || strings.Contains(rest[:end], "--!>") {
		return false
	}
	q.at += 4 + end + 3
	return true
}

// maxElementName is the longest name of an element looked for.
const maxElementName = 32

// name reads the name of an element at the beginning of s: small letters, and how
// many octets it has. It has none where the name is an odd one.
func elementName(s string, lower *[maxElementName]byte) int {
	n := 0
	for n < len(s) {
		c := s[n]
		switch {
		case c >= 'a' && c <= 'z':
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case n > 0 && (c >= '0' && c <= '9' || c == ':' || c == '-' || c == '_'):
		case c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '/' || c == '>':
			return n
		default:
			return 0
		}
		if n == maxElementName {
			return 0
		}
		lower[n] = c
		n++
	}
	return 0
}

func (q *quickSafe) endTag() bool {
	var lower [maxElementName]byte
	rest := q.s[q.at+2:]
	n := elementName(rest, &lower)
	if n == 0 || rest[n] != '>' {
		return false
	}
	q.at += 2 + n + 1
	name := lower[:n]
	if last := len(q.bare) - 1; last >= 0 && q.bare[last] == string(name) {
		q.bare = q.bare[:last]
		return true
	}
	switch q.kinds[string(name)] {
	case elementHidden:
		return false
	case elementKept, elementBare:
		q.out.WriteString("</")
		q.out.Write(name)
		q.out.WriteByte('>')
	}
	return true
}

func (q *quickSafe) startTag() bool {
	var lower [maxElementName]byte
	tag := q.s[q.at+1:]
	n := elementName(tag, &lower)
	if n == 0 {
		return false
	}
	name := lower[:n]
	kind := q.kinds[string(name)]
	var kept [8][2]int // where the attributes stand that may be kept
	attributes, end, selfClosing, ok := quickAttributes(tag, n, &kept)
	if !ok {
		return false
	}
	q.at += 1 + end
	switch {
	case kind == elementHidden:
		return !selfClosing && q.hidden(string(name))
	case kind == elementDropped:
		return true
	case attributes == 0 && kind == elementKept:
		q.out.WriteByte('<')
		q.out.Write(name)
		if selfClosing {
			q.out.WriteByte('/')
		}
		q.out.WriteByte('>')
		return true
	}
	made := ""
	if attributes > 0 && q.plainTag(name, tag, kept[:attributes], selfClosing) {
		return true
	}
	if attributes > 0 {
		made = q.sanitised(name, tag, kept[:attributes], selfClosing)
	}
	if made == "" && !selfClosing {
		q.bare = append(q.bare, string(name))
	}
	q.out.WriteString(made)
	return true
}

// plainTag writes a tag with attributes the policy is known to keep as they are; it
// writes nothing and returns false where one may be another.
func (q *quickSafe) plainTag(name []byte, tag string, attributes [][2]int, selfClosing bool) bool {
	b := append(append(q.tag[:0], '<'), name...)
	href := false
	for i, a := range attributes {
		key, value, ok := strings.Cut(tag[a[0]:a[1]], "=")
		for _, before := range attributes[:i] { // of two the first holds
			if other, _, _ := strings.Cut(tag[before[0]:before[1]], "="); strings.EqualFold(other, key) {
				return false
			}
		}
		if n := len(value); ok && n >= 2 && value[0] == '"' {
			value = value[1 : n-1]
		} else if !ok || value == "" || value[0] == '\'' {
			return false
		}
		at := len(b)
		b = append(b, ' ')
		for i := range len(key) {
			b = append(b, key[i]|0x20) // letters: it is one of keptAttributes
		}
		if !isPlainAttribute(string(name), string(b[at+1:]), value) {
			return false
		}
		href = href || string(b[at+1:]) == "href"
		b = append(append(append(b, '=', '"'), value...), '"')
	}
	if href {
		b = append(b, ` rel="nofollow noreferrer"`...)
	}
	if selfClosing {
		b = append(b, '/')
	}
	q.tag = append(b, '>')
	q.out.Write(q.tag)
	return true
}

const (
	inHost = 1 << iota
	inPath
	inQuery
)

var urlClass = func() (t [256]byte) {
	for c := '0'; c <= 'z'; c++ {
		if c <= '9' || c >= 'a' || c >= 'A' && c <= 'Z' {
			t[c] = inHost | inPath | inQuery
		}
	}
	t['.'], t['-'] = inHost|inPath|inQuery, inHost|inPath|inQuery
	for _, c := range []byte("/_~") {
		t[c] = inPath | inQuery
	}
	for _, c := range []byte("=+%:,") {
		t[c] = inQuery
	}
	return t
}()

// sanitised is a tag as the sanitiser writes it.
func (q *quickSafe) sanitised(name []byte, tag string, attributes [][2]int, selfClosing bool) string {
	b := make([]byte, 0, 256)
	b = append(append(b, '<'), name...)
	for _, a := range attributes {
		b = append(append(b, ' '), tag[a[0]:a[1]]...)
	}
	if selfClosing {
		b = append(b, " /"...)
	}
	b = append(b, '>')
	made, ok := q.known[string(b)]
	if !ok {
		made = sanitise(string(b))
		if q.known == nil {
			q.known = map[string]string{}
		}
		if len(q.known) < 1000 && len(b) < 1000 {
			q.known[string(b)] = made
		}
	}
	return made
}

// hidden passes over what lies within an element that is left out whole, and its
// end tag, where that is plain to see.
func (q *quickSafe) hidden(name string) bool {
	if name != "style" && name != "title" && name != "script" {
		return false
	}
	rest, end := q.s[q.at:], 0
	for {
		i := strings.Index(rest[end:], "</")
		if i < 0 {
			return false
		}
		end += i
		after := rest[end+2:]
		if len(after) <= len(name) {
			return false
		}
		if strings.EqualFold(after[:len(name)], name) {
			// Anything else that begins like the end tag, or a comment in a script, may
			// end it elsewhere.
			if after[len(name)] != '>' || name == "script" && strings.Contains(rest[:end], "<!--") {
				return false
			}
			q.at += end + len("</>") + len(name)
			return true
		}
		end += 2
	}
}
