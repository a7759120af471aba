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
	if !strings.Contains(s, "=?") {
		return oneLine(p.rawText(s, where))
	}
	var out strings.Builder
	var run wordRun // encoded-words in a row with one charset
	flush := func() {
		if run.octets != nil {
			out.WriteString(p.toUTF8(run.octets, run.charset, where))
		}
		run = wordRun{}
	}
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			plain := s[:i]
			// RFC 2047 section 6.2: white space between two encoded-words is not shown.
			if !(run.octets != nil && strings.Trim(plain, " \t\r\n") == "" && i < len(s) && isEncodedWord(s[i:])) {
				flush()
				out.WriteString(p.rawText(plain, where))
			}
			s = s[i:]
			continue
		}
		w, rest, ok := readEncodedWord(s)
		if !ok {
			flush()
			out.WriteString("=?")
			s = s[2:]
			if strings.Contains(s, "?=") {
				p.problemOnce(ProblemBadEncodedWord, where, "an encoded-word was left as it stands")
			}
			continue
		}
		if w.mended {
			p.problemOnce(ProblemBadEncodedWord, where, "an encoded-word was mended")
		}
		// A character may be cut in two by software that does not know better.
		if run.octets != nil && !strings.EqualFold(run.charset, w.charset) {
			flush()
		}
		run.charset = w.charset
		run.octets = append(run.octets, w.octets...)
		if run.octets == nil {
			run.octets = []byte{}
		}
		s = rest
	}
	flush()
	return oneLine(out.String())
}

type wordRun struct {
	charset string
	octets  []byte
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

type encodedWord struct {
	charset string
	octets  []byte
	mended  bool
}

func isEncodedWord(s string) bool {
	_, _, ok := readEncodedWord(s)
	return ok
}

// maxEncodedWord bounds the search for the end of one; RFC 2047 section 2 allows
// 75 characters, and mail has whole subjects in one.
const maxEncodedWord = 8 << 10

// readEncodedWord reads "=?charset?encoding?text?=" at the beginning of s, also
// with white space or a lone question mark in the text.
func readEncodedWord(s string) (w encodedWord, rest string, ok bool) {
	whole := s
	if len(s) > maxEncodedWord {
		s = s[:maxEncodedWord]
	}
	charset, s2, ok := strings.Cut(s[2:], "?")
	if !ok || charset == "" || strings.ContainsAny(charset, " \t=<>\",") {
		return w, "", false
	}
	method, text, ok := strings.Cut(s2, "?")
	if !ok || len(method) != 1 {
		return w, "", false
	}
	at := len(s) - len(text)
	end := strings.Index(text, "?=")
	// "=?utf-8?Q?=41?=": the "=41" right after the question mark is no end.
	if end == 0 && (method == "q" || method == "Q") && len(text) > 4 && isHex(text[2]) && isHex(text[3]) {
		return w, "", false
	}
	if end < 0 {
		return w, "", false
	}
	w.charset, _, _ = strings.Cut(charset, "*") // RFC 2231 section 5
	text, rest = text[:end], whole[at+end+2:]
	switch method {
	case "q", "Q":
		w.octets, w.mended = decodeQ(text)
	case "b", "B":
		w.octets, w.mended = decodeB(text)
	default:
		return w, "", false
	}
	return w, rest, true
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
	d := &base64Decoder{src: strings.NewReader(text)}
	buf := make([]byte, len(text))
	n := 0
	for n < len(buf) {
		m, err := d.Read(buf[n:])
		n += m
		if err != nil {
			break
		}
	}
	return buf[:n], true
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
