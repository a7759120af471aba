package dial

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxText is how many octets of foreign text Printable keeps.
const MaxText = 512

// Printable makes text that a server sent safe to show in a log or terminal:
// control characters, invisible ones and octets that are not UTF-8 are escaped as
// in Go (\r, \x1b, \u202e), and what exceeds MaxText octets is cut, with "…".
func Printable(s string) string {
	if len(s) <= MaxText && isPlain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+n]
		if r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
			quoted := strconv.Quote(piece)
			piece = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(piece) > MaxText {
			return b.String() + "…"
		}
		b.WriteString(piece)
		i += n
	}
	return b.String()
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
