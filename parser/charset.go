package parser

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	mailcharset "github.com/emersion/go-message/charset"
	"golang.org/x/net/html/charset"
	xencoding "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// toUTF8 turns octets in the charset named into text. A charset that is not
// known, or plainly not the one the octets are in, is replaced by a guess.
func (p *parse) toUTF8(octets []byte, name, where string) string {
	name = charsetName(name)
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "iso-ir-6", "utf-8", "utf8", "unicode-1-1-utf-8":
		return p.asUTF8(octets, name, where)
	}
	if !hasHigh(octets) && !foreignASCII(name) {
		return string(octets)
	}
	decode := lookupCharset(name)
	if decode == nil {
		p.problemOnce(ProblemUnknownCharset, where, "the charset reads "+clip(name, 40))
		return p.guess(octets)
	}
	if looksUTF8(octets, name) {
		p.problemOnce(ProblemWrongCharset, where, "labelled "+clip(name, 40)+" and encoded in UTF-8")
		return string(octets)
	}
	text, ok := decode(octets)
	if ok {
		return text
	}
	p.problemOnce(ProblemWrongCharset, where, "octets that are not "+clip(name, 40))
	if hasHigh(octets) && utf8.Valid(octets) && !foreignASCII(name) {
		return string(octets)
	}
	return text
}

// charsetName is the name as the tables have it.
func charsetName(name string) string {
	name = strings.ToLower(strings.Trim(strings.TrimSpace(name), `"'`))
	name, _, _ = strings.Cut(name, "*") // RFC 2231 section 5: a language may follow
	return strings.TrimSpace(name)
}

// asUTF8 is toUTF8 for text that claims to be UTF-8, ASCII or nothing.
func (p *parse) asUTF8(octets []byte, name, where string) string {
	if utf8.Valid(octets) {
		if name != "utf-8" && name != "utf8" && hasHigh(octets) {
			if name == "" {
				p.problemOnce(ProblemRaw8Bit, where, "octets above 127 without a charset, read as UTF-8")
			} else {
				p.problemOnce(ProblemWrongCharset, where, "labelled "+name+" and encoded in UTF-8")
			}
		}
		return string(octets)
	}
	if name == "" {
		p.problemOnce(ProblemRaw8Bit, where, "octets above 127 without a charset")
		if mostlyUTF8(octets) { // UTF-8 that was cut, most likely
			return strings.ToValidUTF8(string(octets), "\uFFFD")
		}
		return p.guess(octets)
	}
	p.problemOnce(ProblemWrongCharset, where, "octets that are not "+name)
	if mostlyUTF8(octets) {
		return strings.ToValidUTF8(string(octets), "\uFFFD")
	}
	return p.guess(octets)
}

// guess reads octets of which nothing is known: in the charset the mail names
// for its text, if they make sense in it.
func (p *parse) guess(octets []byte) string {
	if p.fallback != "" && !foreignASCII(p.fallback) && !utf8.Valid(octets) {
		if decode := lookupCharset(p.fallback); decode != nil {
			if text, ok := decode(octets); ok {
				return text
			}
		}
	}
	return guessCharset(octets)
}

// foreignASCII tells whether octets below 128 mean something else than ASCII in a
// charset.
func foreignASCII(name string) bool {
	for _, prefix := range [...]string{"utf-7", "utf7", "unicode-1-1-utf-7", "csunicode11utf7", "utf-16", "utf16", "utf-32", "utf32", "ucs-", "iso-10646-ucs", "csunicode",
		"iso-2022", "csiso2022", "hz", "ibm037", "cp037", "ibm1047", "cp1047", "ibm01140", "cp1140"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// looksUTF8 tells whether octets labelled as another charset are UTF-8. For the
// charsets of one octet for each character correct UTF-8 proves it: nobody writes
// such text. In those of two it may come about by chance, so more is asked for.
func looksUTF8(octets []byte, name string) bool {
	if !hasHigh(octets) || !utf8.Valid(octets) {
		return false
	}
	for _, prefix := range [...]string{"iso-8859", "iso8859", "iso_8859", "latin", "windows-125", "cp125", "koi8", "l1", "macintosh"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	long, high := 0, 0
	for _, r := range string(octets) {
		switch {
		case r >= 0x800:
			long++
			high += utf8.RuneLen(r)
		case r >= 0x80:
			high += 2
		}
	}
	return long > 0 && high >= 9
}

// lookupCharset finds how a charset is decoded: the labels of the WHATWG
// Encoding Standard, those of IANA, and the few neither has. Decoding tells
// whether every octet had a meaning.
func lookupCharset(name string) func([]byte) (string, bool) {
	switch name {
	case "utf-7", "utf7", "unicode-1-1-utf-7", "csunicode11utf7":
		return decodeUTF7
	case "iso-2022-kr", "csiso2022kr":
		return decodeISO2022KR
	case "hz", "hz-gb-2312":
		return with(simplifiedchinese.HZGB2312)
	case "utf-16", "utf16", "csunicode", "iso-10646-ucs-2", "ucs-2":
		return decodeUTF16
	case "utf-32", "utf32", "ucs-4", "iso-10646-ucs-4":
		return with(utf32.UTF32(utf32.BigEndian, utf32.UseBOM))
	case "utf-32be":
		return with(utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM))
	case "utf-32le":
		return with(utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM))
	case "gb2312", "gbk", "cp936", "x-gbk", "gb18030":
		return with(simplifiedchinese.GB18030)
	case "iso-8859-8-i":
		return with(charmap.ISO8859_8)
	}
	for _, name := range charsetSpellings(name) {
		if e, _ := charset.Lookup(name); e != nil && e != xencoding.Replacement {
			return with(e)
		}
		if decode := mailCharset(name); decode != nil {
			return decode
		}
		if e, err := ianaindex.IANA.Encoding(name); err == nil && e != nil {
			return with(e)
		}
	}
	return nil
}

// mailCharset is a charset that mail uses and the Web does not, as go-message
// knows it; nil for one it does not know.
func mailCharset(name string) func([]byte) (string, bool) {
	if _, err := mailcharset.Reader(name, strings.NewReader("")); err != nil {
		return nil
	}
	return func(octets []byte) (string, bool) {
		r, err := mailcharset.Reader(name, bytes.NewReader(octets))
		if err != nil {
			return string(octets), false
		}
		out, err := io.ReadAll(r)
		if err != nil {
			return strings.ToValidUTF8(string(octets), "\uFFFD"), false
		}
		return string(out), !bytes.Contains(out, replacement)
	}
}

// charsetSpellings is the names a charset may have meant to have.
func charsetSpellings(name string) []string {
	out := []string{name}
	if s := strings.ReplaceAll(strings.TrimPrefix(name, "x-"), "_", "-"); s != name {
		out = append(out, s)
		name = s
	}
	digits := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz-_")
	switch {
	case strings.HasPrefix(name, "iso8859"), strings.HasPrefix(name, "iso-8859"), strings.HasPrefix(name, "8859"):
		out = append(out, "iso-8859-"+strings.TrimLeft(strings.TrimPrefix(digits, "8859"), "-_ "))
	case digits == name[len(name)-len(digits):] && digits != "":
		// cp1252, windows1252, cp850
		out = append(out, "windows-"+digits, "ibm"+digits)
	}
	return out
}

func with(e xencoding.Encoding) func([]byte) (string, bool) {
	if table, ok := e.(*charmap.Charmap); ok {
		return withTable(table)
	}
	return func(octets []byte) (string, bool) {
		out, err := e.NewDecoder().Bytes(octets)
		if err != nil {
			return strings.ToValidUTF8(string(octets), "\uFFFD"), false
		}
		return string(out), !bytes.Contains(out, replacement)
	}
}

// withTable decodes a charset of one octet for each character.
func withTable(table *charmap.Charmap) func([]byte) (string, bool) {
	return func(octets []byte) (string, bool) {
		out, ok := make([]byte, 0, len(octets)+len(octets)/8+utf8.UTFMax), true
		ascii := table.DecodeByte('a') == 'a' // not so in EBCDIC
		for len(octets) > 0 {
			if ascii {
				n := asciiPrefix(octets)
				out = append(out, octets[:n]...)
				if octets = octets[n:]; len(octets) == 0 {
					break
				}
			}
			r := table.DecodeByte(octets[0])
			ok = ok && r != utf8.RuneError
			out, octets = utf8.AppendRune(out, r), octets[1:]
		}
		return string(out), ok
	}
}

var replacement = []byte("\uFFFD")

// guessCharset reads octets of which nothing is known: as UTF-8 where they are,
// in a charset of Chinese, Japanese or Korean, or a Cyrillic one, where the octets look like text
// in it, else as Windows-1252, in which every text is legible that is mostly Latin.
func guessCharset(octets []byte) string {
	if utf8.Valid(octets) {
		return string(octets)
	}
	if text, ok := guessEastAsian(octets); ok {
		return text
	}
	high, pairs, upper, letters := 0, 0, 0, 0
	for i := 0; i < len(octets); i++ {
		c := octets[i]
		switch {
		case c >= 0x80:
			high++
			if c >= 0xc0 {
				upper++
			}
			if c >= 0xb0 && c <= 0xf7 && i+1 < len(octets) && octets[i+1] >= 0xa1 {
				pairs++ // a hanzi of GB 2312
			}
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		}
	}
	// Every octet of a Chinese text stands in a pair, so pairs that overlap are
	// counted nearly as often as octets; Cyrillic letters follow on one another too,
	// but Chinese has second octets below 0xC0.
	if high%2 == 0 && pairs*2 >= high && upper*10 < high*9 {
		if text, ok := with(simplifiedchinese.GB18030)(octets); ok {
			return text
		}
	}
	if high > letters && upper*10 >= high*7 {
		sample := octets[:min(len(octets), 4<<10)]
		windows, _ := with(charmap.Windows1251)(sample)
		koi, _ := with(charmap.KOI8R)(sample)
		cyrillic := charmap.Windows1251
		if frequent(koi) > frequent(windows) {
			cyrillic = charmap.KOI8R
		}
		text, _ := with(cyrillic)(octets)
		return text
	}
	text, _ := with(charmap.Windows1252)(octets)
	return text
}

// frequent counts the most frequent letters of Russian, small ones: what is
// small in KOI8-R is capital in Windows-1251, and the other way round.
func frequent(s string) int {
	n := 0
	for _, r := range s {
		if strings.ContainsRune("оеаинтсрвл", r) {
			n++
		}
	}
	return n
}

func hasHigh(b []byte) bool { return asciiPrefix(b) < len(b) }

// asciiPrefix is how many octets at the beginning of b are below 128.
func asciiPrefix(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 { // eight octets at a time
		if binary.LittleEndian.Uint64(b[i:i+8])&(octets8<<7) != 0 {
			break
		}
	}
	for i < len(b) && b[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// mostlyUTF8 tells whether most of the octets above 127 are correct UTF-8.
func mostlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for len(b) > 0 {
		if b = b[asciiPrefix(b):]; len(b) == 0 {
			break
		}
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			bad++
		case n > 1:
			good++
		}
		b = b[n:]
	}
	return good > bad
}

// decodeUTF16 decodes UTF-16 by its mark. Without one it is big-endian by RFC 2781
// section 4.3 and little-endian by the Encoding Standard; the zeros of ASCII
// letters tell which.
func decodeUTF16(octets []byte) (string, bool) {
	order := unicode.LittleEndian
	zeros := [2]int{}
	for i, c := range octets {
		if c == 0 {
			zeros[i%2]++
		}
	}
	if zeros[0] > zeros[1] {
		order = unicode.BigEndian
	}
	return with(unicode.UTF16(order, unicode.UseBOM))(octets)
}

// decodeUTF7 decodes UTF-7 (RFC 2152): base64 of UTF-16 between + and -.
func decodeUTF7(octets []byte) (string, bool) {
	var b strings.Builder
	ok := true
	for i := 0; i < len(octets); i++ {
		c := octets[i]
		if c != '+' {
			if c >= 0x80 {
				ok = false
			}
			b.WriteRune(rune(c))
			continue
		}
		end := i + 1
		for end < len(octets) && base64Class[octets[end]] < classPad && octets[end] != '-' && octets[end] != '_' {
			end++
		}
		word := octets[i+1 : end]
		if end < len(octets) && octets[end] == '-' {
			if len(word) == 0 {
				b.WriteByte('+')
			}
			end++
		}
		raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(word)))
		n, err := base64.RawStdEncoding.Decode(raw, word)
		if err != nil {
			ok = false
		}
		units := make([]uint16, n/2)
		for j := range units {
			units[j] = uint16(raw[2*j])<<8 | uint16(raw[2*j+1])
		}
		b.WriteString(string(utf16.Decode(units)))
		i = end - 1
	}
	return b.String(), ok
}

// decodeISO2022KR decodes ISO-2022-KR (RFC 1557): KS X 1001 between SO and SI.
func decodeISO2022KR(octets []byte) (string, bool) {
	octets = bytes.ReplaceAll(octets, []byte("\x1b$)C"), nil)
	out := make([]byte, 0, len(octets))
	shifted := false
	for _, c := range octets {
		switch {
		case c == 0x0e:
			shifted = true
		case c == 0x0f:
			shifted = false
		case c == '\n':
			shifted = false
			out = append(out, c)
		case shifted && c > ' ' && c < 0x7f:
			out = append(out, c|0x80)
		default:
			out = append(out, c)
		}
	}
	return with(korean.EUCKR)(out)
}
