package compose

import (
	"bytes"
	"encoding/base64"
	"mime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"

	"github.com/postferry/postferry/parser"
)

// header are the fields of a mail or of a part, in order.
type header struct {
	fields []parser.Header
}

// longestValue is how long the text of a field may be, in octets; what a mail
// says beyond it is left out. Encoded and folded it stays below the 998 octets of a line
// (RFC 5322, section 2.1.1) even where it has no space.
const longestValue = 600

// add puts a field behind the others. The value is one line: what controls
// becomes a space. It is US-ASCII unless an address in it is not.
func (h *header) add(name, value string) {
	h.fields = append(h.fields, parser.Header{Name: name, Value: oneLine(value)})
}

// text adds an unstructured field (RFC 2047, section 5 (1)); none where it is empty.
func (h *header) text(name, value string) {
	if value = clip(strings.TrimSpace(oneLine(value)), longestValue); value != "" {
		h.add(name, words(value))
	}
}

// addresses adds a field with an address list; none where it is empty.
func (h *header) addresses(name string, list []parser.Address) {
	if len(list) == 0 {
		return
	}
	all := make([]string, len(list))
	for i, a := range list {
		all[i] = addressText(a)
	}
	h.add(name, strings.Join(all, ", "))
}

// date adds a date and time (RFC 5322, section 3.3).
func (h *header) date(name string, at time.Time) { h.add(name, at.Format(time.RFC1123Z)) }

// message is the header as the library writes it, whose fields come out in the
// reverse order of their adding.
func (h *header) message() message.Header {
	var m message.Header
	for i := len(h.fields) - 1; i >= 0; i-- {
		m.Add(h.fields[i].Name, h.fields[i].Value)
	}
	return m
}

// octets are the fields, folded, without the empty line that ends a header.
func (h *header) octets() []byte {
	var b bytes.Buffer
	m := h.message()
	_ = textproto.WriteHeader(&b, m.Header) // a bytes.Buffer takes all
	return bytes.TrimSuffix(b.Bytes(), []byte("\r\n"))
}

// oneLine makes one line of a text: each run of what controls, and of what
// separates lines in Unicode, is a space.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, breaks) && utf8.ValidString(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Join(strings.FieldsFunc(s, breaks), " ")
}

func breaks(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// clip cuts a text to at most n octets, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// words are an unstructured text as encoded-words where it needs them. A text
// that looks like an encoded-word is one, lest somebody decode what the mail wrote
// for him.
func words(s string) string {
	if strings.Contains(s, "=?") {
		return encodedWords(s)
	}
	return mime.QEncoding.Encode("utf-8", s)
}

// encodedWords is a text in encoded-words (RFC 2047, section 4.1), each of at most
// 75 octets and whole characters.
func encodedWords(s string) string {
	const most = 45 // octets, 60 in base64
	var out []string
	for s != "" {
		n := min(len(s), most)
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		out = append(out, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(out, " ")
}

// phrase is a display name (RFC 5322, section 3.2.5): atoms, a quoted-string, or
// encoded-words (RFC 2047, section 5 (3)).
func phrase(s string) string {
	ascii, atoms := true, true
	for i := range len(s) {
		c := s[i]
		ascii = ascii && c < utf8.RuneSelf
		atoms = atoms && (c == ' ' || isAtext(c))
	}
	switch {
	case !ascii || strings.Contains(s, "=?"):
		return encodedWords(s)
	case atoms:
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// isAtext tells the characters of an atom (RFC 5322, section 3.2.3).
func isAtext(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c != 0 && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}
