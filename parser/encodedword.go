package parser

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// decodeText decodes an unstructured value (RFC 2047): encoded-words, also where
// they stand inside words or quotes, and raw octets above 127. It comes out in
// one line.
func (p *parse) decodeText(s, where string) string {
	if isPlain(s) {
		return strings.TrimSpace(s)
	}
	if !strings.Contains(s, "=?") {
		return oneLine(p.rawText(s, where))
	}
	t := textDecoder{p: p, where: where}
	words := wordFinder{s: s}
	plain := 0 // where the text not yet shown begins
	for {
		w, ok := words.next()
		if !ok {
			break
		}
		t.plain(s[plain:w.start], true)
		t.word(w)
		plain = w.end
	}
	t.plain(s[plain:], false)
	t.flush()
	if words.broken {
		p.problemOnce(ProblemBadEncodedWord, where, "an encoded-word was left as it stands")
	}
	return oneLine(t.out.String())
}

// textDecoder puts the text of a value together.
type textDecoder struct {
	p       *parse
	where   string
	out     strings.Builder
	charset string // of the encoded-words in a row
	octets  []byte // theirs; nil where none is pending
}

// plain shows text outside encoded-words. Between two of them white space is not
// shown (RFC 2047 section 6.2).
func (t *textDecoder) plain(s string, wordFollows bool) {
	if s == "" || wordFollows && t.octets != nil && strings.Trim(s, " \t\r\n") == "" {
		return
	}
	t.flush()
	t.out.WriteString(t.p.rawText(s, t.where))
}

// word takes an encoded-word. Those in a row with one charset are decoded
// together: a character may be cut in two by software that knows no better.
func (t *textDecoder) word(w encodedWord) {
	if w.mended {
		t.p.problemOnce(ProblemBadEncodedWord, t.where, "an encoded-word was mended")
	}
	if t.octets != nil && !strings.EqualFold(t.charset, w.charset) {
		t.flush()
	}
	t.charset = w.charset
	if t.octets == nil {
		t.octets = make([]byte, 0, len(w.octets)+1)
	}
	t.octets = append(t.octets, w.octets...)
}

func (t *textDecoder) flush() {
	if t.octets != nil {
		t.out.WriteString(t.p.toUTF8(t.octets, t.charset, t.where))
		t.octets = nil
	}
}

// rawText is text outside encoded-words.
func (p *parse) rawText(s, where string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return p.toUTF8([]byte(s), "", where)
		}
	}
	return s
}

// encodedWord is one, found between start and end.
type encodedWord struct {
	start, end int
	charset    string
	octets     []byte
	mended     bool
}

// maxEncodedWord bounds one; RFC 2047 section 2 allows 75 characters, and mail
// has whole subjects in one.
const maxEncodedWord = 8 << 10

// wordFinder finds the encoded-words of a value, in time linear in its length.
type wordFinder struct {
	s      string
	pos    int
	close  int // the first "?=" not before the last place looked from; len(s) where there is none
	broken bool
}

// next returns the next encoded-word: "=?charset?encoding?text?=", also with
// white space or a lone question mark in its text, or without its end at the end
// of the value.
func (f *wordFinder) next() (encodedWord, bool) {
	for {
		i := strings.Index(f.s[f.pos:], "=?")
		if i < 0 {
			return encodedWord{}, false
		}
		start := f.pos + i
		if w, ok := f.read(start); ok {
			f.pos = w.end
			return w, true
		}
		f.pos = start + 2
	}
}

func (f *wordFinder) read(start int) (w encodedWord, ok bool) {
	s := f.s[:min(len(f.s), start+maxEncodedWord)]
	mark := indexWithin(s, start+2, '?', 100)
	if mark < 0 {
		return w, false
	}
	w.start, w.charset = start, strings.TrimSpace(s[start+2:mark])
	if strings.ContainsAny(w.charset, " \t=<>\",@") || mark+2 >= len(s) || s[mark+2] != '?' {
		return w, false
	}
	w.charset, _, _ = strings.Cut(w.charset, "*") // RFC 2231 section 5: a language may follow
	decode := decodeB
	switch s[mark+1] {
	case 'q', 'Q':
		decode = decodeQ
	case 'b', 'B':
	default:
		f.broken = true
		return w, false
	}
	text := mark + 3
	end := f.closing(text)
	if s[mark+1]|0x20 == 'q' {
		// "=?utf-8?Q?really?=3F?=": a question mark that was to be encoded.
		for range 20 {
			if !strings.HasPrefix(f.s[end:], "?=") || end+4 > len(s) || !isHex(s[end+2]) || !isHex(s[end+3]) {
				break
			}
			further := f.closing(end + 2)
			if further >= len(s) || strings.ContainsAny(s[end:further], " \t") || strings.Contains(s[end:further], "=?") {
				break
			}
			end = further
		}
	}
	switch {
	case end < len(s):
		w.end = end + 2
	case len(s) == len(f.s) && !strings.ContainsAny(s[text:], " \t") && len(s) > text:
		end, w.end, w.mended = len(s), len(s), true // cut off
		if strings.HasSuffix(s, "?") {
			end--
		}
	default:
		f.broken = true
		return w, false
	}
	var mended bool
	w.octets, mended = decode(s[text:end])
	w.mended = w.mended || mended
	return w, true
}

// closing returns where the first "?=" at or after i stands.
func (f *wordFinder) closing(i int) int {
	if f.close < i {
		f.close = len(f.s)
		if n := strings.Index(f.s[i:], "?="); n >= 0 {
			f.close = i + n
		}
	}
	return f.close
}

// indexWithin finds c in s, from i on and not beyond n octets.
func indexWithin(s string, i int, c byte, n int) int {
	if i > len(s) {
		return -1
	}
	j := strings.IndexByte(s[i:min(len(s), i+n)], c)
	if j < 0 {
		return -1
	}
	return i + j
}

// decodeQ decodes the Q encoding (RFC 2047 section 4.2).
func decodeQ(text string) (octets []byte, mended bool) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '_':
			octets = append(octets, ' ')
		case c == '=' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			octets = append(octets, unhex(text[i+1])<<4|unhex(text[i+2]))
			i += 2
		default:
			mended = mended || c == '=' || c == ' ' || c >= 0x80
			octets = append(octets, c)
		}
	}
	return octets, mended
}

// decodeB decodes the B encoding (RFC 2047 section 4.1).
func decodeB(text string) (octets []byte, mended bool) {
	if out, err := base64.StdEncoding.DecodeString(text); err == nil {
		return out, false
	}
	var d lettersDecoder
	out := d.append(make([]byte, 0, len(text)), []byte(text))
	return d.end(out), true
}

// oneLine makes a header value fit for one line of text: control characters
// become spaces, and the ends are trimmed.
func oneLine(s string) string {
	s = validUTF8(s)
	clean := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			clean = false
			break
		}
	}
	if !clean {
		s = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, s)
	}
	if s == "" || s[0] > ' ' && s[0] < utf8.RuneSelf && s[len(s)-1] > ' ' && s[len(s)-1] < utf8.RuneSelf {
		return s
	}
	return strings.TrimSpace(s)
}
