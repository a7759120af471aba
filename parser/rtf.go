package parser

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// rtfContent is what RTF says: HTML where it was made of HTML (MS-OXRTFEX), else
// text.
type rtfContent struct{ text, html string }

// maxRTFDepth bounds the groups whose state is kept; deeper ones share the last.
const maxRTFDepth = 200

// readRTF takes the text out of RTF (Rich Text Format 1.9.1), or the HTML it was
// made of, at most limit octets of it. It knows which groups are no text, and
// characters in all the ways RTF writes them; formats say nothing to it.
func readRTF(b []byte, limit int, toUTF8 func([]byte, string) string) rtfContent {
	if !strings.HasPrefix(string(b[:min(len(b), 5)]), `{\rtf`) {
		return rtfContent{}
	}
	r := rtfReader{b: b, limit: limit, toUTF8: toUTF8, charset: "cp1252", fonts: map[int]string{}, state: rtfState{skip: 1, font: -1}}
	for r.at < len(r.b) && r.out.Len() < r.limit && !r.ended {
		r.token()
	}
	r.flush()
	s := clip(r.out.String(), limit)
	if r.fromHTML {
		return rtfContent{html: s}
	}
	return rtfContent{text: strings.TrimRight(s, "\n")}
}

type rtfReader struct {
	b      []byte
	at     int
	limit  int
	out    strings.Builder
	toUTF8 func([]byte, string) string

	state    rtfState
	stack    []rtfState
	deeper   int // groups open beyond the stack
	ended    bool
	fromHTML bool
	charset  string         // of the document
	fonts    map[int]string // the charsets of the fonts

	octets  []byte // characters of the document's charset, not yet written
	half    rune   // the first half of a surrogate pair
	pass    int    // characters for older readers that are still to be passed over
	starred bool   // \* stood at the beginning of the group
	first   bool   // nothing stood in the group yet
}

// rtfState is what ends with a group.
type rtfState struct {
	hidden     bool // no text
	fontTable  bool
	htmlTag    bool // what HTML had here
	suppressed bool // \htmlrtf: for readers of RTF alone
	skip       int  // how many characters follow a \u for older readers
	font       int
}

func (r *rtfReader) token() {
	c := r.b[r.at]
	r.at++
	switch c {
	case '{':
		r.flush()
		r.pass = 0
		if len(r.stack) < maxRTFDepth {
			r.stack = append(r.stack, r.state)
		} else {
			r.deeper++
		}
		r.first, r.starred = true, false
		return
	case '}':
		r.flush()
		r.pass = 0
		switch n := len(r.stack); {
		case r.deeper > 0:
			r.deeper--
		case n > 1:
			r.state, r.stack = r.stack[n-1], r.stack[:n-1]
		default:
			r.ended = true
		}
	case '\\':
		r.control()
		return
	case '\r', '\n', 0:
	default:
		r.character(c)
	}
	r.first = false
}

// control reads a control word or a control symbol.
func (r *rtfReader) control() {
	if r.at >= len(r.b) {
		return
	}
	c := r.b[r.at]
	if c|0x20 < 'a' || c|0x20 > 'z' {
		r.at++
		r.symbol(c)
		return
	}
	start := r.at
	for r.at < len(r.b) && r.b[r.at]|0x20 >= 'a' && r.b[r.at]|0x20 <= 'z' && r.at-start < 32 {
		r.at++
	}
	word := string(r.b[start:r.at])
	start = r.at
	if r.at < len(r.b) && r.b[r.at] == '-' {
		r.at++
	}
	for r.at < len(r.b) && isDigit(r.b[r.at]) {
		r.at++
	}
	n, err := strconv.Atoi(string(r.b[start:r.at]))
	given := r.at > start
	if given && (err != nil || n > 1<<30 || n < -1<<30) {
		n, word = 0, ""
	}
	if r.at < len(r.b) && r.b[r.at] == ' ' {
		r.at++ // it ends the word
	}
	r.word(word, n, given)
	r.first, r.starred = false, false
}

func (r *rtfReader) symbol(c byte) {
	switch c {
	case '*':
		if r.first {
			r.starred = true
			return
		}
	case '\'':
		if r.at+1 < len(r.b) && isHex(r.b[r.at]) && isHex(r.b[r.at+1]) {
			v := unhex(r.b[r.at])<<4 | unhex(r.b[r.at+1])
			r.at += 2
			r.character(v)
		}
	case '\\', '{', '}':
		r.character(c)
	case '~':
		r.write("\u00a0")
	case '_':
		r.write("\u2011")
	case '\r', '\n':
		r.write("\n")
	}
	r.first = false
}

// rtfCharacters are the control words that are characters.
var rtfCharacters = map[string]string{
	"par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "tab": "\t", "cell": "\t", "emdash": "\u2014", "endash": "\u2013", "lquote": "\u2018", "rquote": "\u2019",
	"ldblquote": "\u201c", "rdblquote": "\u201d", "bullet": "\u2022", "emspace": "\u2003", "enspace": "\u2002",
}

// rtfHidden are the groups that are no text.
var rtfHidden = map[string]bool{
	"colortbl": true, "stylesheet": true, "info": true, "pict": true, "object": true, "header": true, "headerl": true, "headerr": true, "headerf": true,
	"footer": true, "footerl": true, "footerr": true, "footerf": true, "footnote": true, "filetbl": true, "listtable": true, "revtbl": true, "private": true, "xe": true, "tc": true,
}

func (r *rtfReader) word(word string, n int, given bool) {
	s := &r.state
	if text, ok := rtfCharacters[word]; ok {
		r.write(text)
		return
	}
	if word != "u" {
		r.flush()
	}
	switch {
	case word == "htmltag" && r.starred:
		s.htmlTag, s.hidden = true, !r.fromHTML
	case r.starred, rtfHidden[word]:
		s.hidden = true
	case word == "fonttbl":
		s.fontTable, s.hidden = true, true
	case word == "fromhtml":
		r.fromHTML = r.out.Len() == 0
	case word == "htmlrtf":
		s.suppressed = !given || n != 0
	case word == "ansicpg":
		r.charset = codepage(uint32(max(n, 0)))
	case word == "f":
		s.font = n
	case word == "fcharset" && s.fontTable && len(r.fonts) < 1000:
		if name := rtfFontCharsets[n]; name != "" {
			r.fonts[s.font] = name
		}
	case word == "uc":
		s.skip = min(max(n, 0), 100)
	case word == "u" && given:
		r.unicode(n)
	case word == "bin":
		r.at = min(r.at+max(n, 0), len(r.b))
	}
}

// rtfFontCharsets are the charsets fonts name by number.
var rtfFontCharsets = map[int]string{
	77: "macintosh", 128: "shift_jis", 129: "euc-kr", 134: "gbk", 136: "big5", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
	204: "cp1251", 222: "cp874", 238: "cp1250",
}

// unicode takes the character \uN; what stands after it for older readers is passed
// over.
func (r *rtfReader) unicode(n int) {
	octets := r.octets
	r.octets = nil
	if len(octets) > 0 {
		r.put(r.decode(octets))
	}
	c := rune(uint16(n))
	r.pass = r.state.skip
	switch {
	case r.half != 0 && c >= 0xdc00 && c < 0xe000:
		c, r.half = utf16.DecodeRune(r.half, c), 0
	case c >= 0xd800 && c < 0xdc00:
		r.endHalf()
		r.half = c
		return
	}
	r.endHalf()
	r.put(string(utf8.AppendRune(nil, c)))
}

func (r *rtfReader) endHalf() {
	if r.half != 0 {
		r.half = 0
		r.put("\uFFFD")
	}
}

// character takes an octet of text.
func (r *rtfReader) character(c byte) {
	switch {
	case r.pass > 0:
		r.pass--
	case r.state.hidden:
	default:
		r.octets = append(r.octets, c)
	}
}

// write writes text.
func (r *rtfReader) write(s string) {
	if r.pass > 0 {
		r.pass--
		return
	}
	r.flush()
	r.put(s)
}

// flush writes the octets that wait.
func (r *rtfReader) flush() {
	if len(r.octets) > 0 {
		r.endHalf()
		r.put(r.decode(r.octets))
		r.octets = r.octets[:0]
	} else {
		r.endHalf()
	}
}

func (r *rtfReader) decode(octets []byte) string {
	charset := r.charset
	if name, ok := r.fonts[r.state.font]; ok && !r.state.htmlTag {
		charset = name
	}
	if !hasHigh(octets) {
		return string(octets)
	}
	return r.toUTF8(octets, charset)
}

// put writes text that is decoded, where it is to be seen.
func (r *rtfReader) put(s string) {
	switch {
	case r.state.hidden || r.state.suppressed && r.fromHTML:
	case r.fromHTML && !r.state.htmlTag: // it is text for people, and no HTML
		r.out.WriteString(escapeAngles.Replace(s))
	default:
		r.out.WriteString(s)
	}
}

var escapeAngles = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
