package parser

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	xencoding "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode/utf32"
)

// toUTF8 turns octets in the charset named into text. A charset that is not
// known, or plainly not the one the octets are in, is replaced by a guess.
func (p *parse) toUTF8(octets []byte, name, where string) string {
	name = strings.ToLower(strings.Trim(strings.TrimSpace(name), `"'`))
	name, _, _ = strings.Cut(name, "*") // RFC 2231 section 5: a language may follow
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "iso-ir-6", "utf-8", "utf8", "unicode-1-1-utf-8":
		return p.asUTF8(octets, name, where)
	}
	if isASCII(octets) && !escapes[name] {
		return string(octets)
	}
	decode := lookupCharset(name)
	if decode == nil {
		p.problemOnce(ProblemUnknownCharset, where, "the charset reads "+clip(name, 40))
		return guessCharset(octets)
	}
	// Octets of a one-octet charset that are correct UTF-8 are UTF-8: text that
	// happens to look so is not written.
	if labelledLatin[name] && utf8.Valid(octets) && hasHigh(octets) {
		p.problemOnce(ProblemWrongCharset, where, "labelled "+name+" and encoded in UTF-8")
		return string(octets)
	}
	text, ok := decode(octets)
	if ok {
		return text
	}
	p.problemOnce(ProblemWrongCharset, where, "octets that are not "+clip(name, 40))
	if utf8.Valid(octets) && !escapes[name] {
		return string(octets)
	}
	return text
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
		return guessCharset(octets)
	}
	p.problemOnce(ProblemWrongCharset, where, "octets that are not "+name)
	if mostlyUTF8(octets) {
		return strings.ToValidUTF8(string(octets), "\uFFFD")
	}
	return guessCharset(octets)
}

// escapes are the charsets made of ASCII octets alone.
var escapes = map[string]bool{
	"utf-7": true, "unicode-1-1-utf-7": true, "utf7": true, "iso-2022-jp": true, "iso-2022-kr": true, "hz-gb-2312": true, "hz": true,
	"iso-2022-jp-1": true, "iso-2022-jp-2": true, "iso-2022-jp-3": true, "iso-2022-cn": true, "csiso2022jp": true, "csiso2022kr": true,
}

// labelledLatin are the labels that software puts on text in UTF-8.
var labelledLatin = map[string]bool{
	"iso-8859-1": true, "latin1": true, "latin-1": true, "windows-1252": true, "cp1252": true, "iso8859-1": true, "iso_8859-1": true,
	"iso-8859-15": true, "windows-1251": true, "koi8-r": true,
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
	case "utf-32", "utf32":
		return with(utf32.UTF32(utf32.BigEndian, utf32.UseBOM))
	case "utf-32be":
		return with(utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM))
	case "utf-32le":
		return with(utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM))
	case "gb2312", "gbk", "cp936", "x-gbk", "gb18030":
		return with(simplifiedchinese.GB18030)
	case "iso-8859-8-i":
		return with(charmap.ISO8859_8)
	case "cp437", "ibm437":
		return with(charmap.CodePage437)
	case "cp850", "ibm850":
		return with(charmap.CodePage850)
	}
	if e, _ := charset.Lookup(name); e != nil && e != xencoding.Replacement {
		return with(e)
	}
	if rest, ok := strings.CutPrefix(name, "cp"); ok {
		if e, _ := charset.Lookup("windows-" + rest); e != nil {
			return with(e)
		}
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return with(e)
	}
	if e, err := ianaindex.IANA.Encoding(name); err == nil && e != nil {
		return with(e)
	}
	return nil
}

func with(e xencoding.Encoding) func([]byte) (string, bool) {
	return func(octets []byte) (string, bool) {
		out, err := e.NewDecoder().Bytes(octets)
		if err != nil {
			return strings.ToValidUTF8(string(octets), "\uFFFD"), false
		}
		return string(out), !bytes.Contains(out, replacement)
	}
}

var replacement = []byte("\uFFFD")

// guessCharset reads octets of which nothing is known: as UTF-8 where they are,
// as GBK or Windows-1251 where the octets look like Chinese or Cyrillic text,
// else as Windows-1252, in which every text is legible that is mostly Latin.
func guessCharset(octets []byte) string {
	if utf8.Valid(octets) {
		return string(octets)
	}
	high, pairs, cyrillic, letters := 0, 0, 0, 0
	for i := 0; i < len(octets); i++ {
		c := octets[i]
		switch {
		case c >= 0x80:
			high++
			if c >= 0xc0 {
				cyrillic++
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
	if text, ok := with(simplifiedchinese.GB18030)(octets); ok && high%2 == 0 && pairs*2 >= high && cyrillic*10 < high*9 {
		return text
	}
	if high > letters && cyrillic*10 >= high*7 {
		text, _ := with(charmap.Windows1251)(octets)
		return text
	}
	text, _ := with(charmap.Windows1252)(octets)
	return text
}

func isASCII(b []byte) bool { return !hasHigh(b) }

func hasHigh(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// mostlyUTF8 tells whether most of the octets above 127 are correct UTF-8.
func mostlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for len(b) > 0 {
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
		for end < len(octets) && base64Class[octets[end]] > classPad && octets[end] != '-' && octets[end] != '_' {
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
