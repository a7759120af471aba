package payload

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// unit measures a character of a text in what a limit is counted in.
type unit func(r rune) int

func runes(rune) int { return 1 }

// utf8Octets counts those of UTF-8; a character that is none counts as what stands in
// its place.
func utf8Octets(r rune) int { return utf8.RuneLen(r) }

// utf16Units counts those of UTF-16: two for characters beyond U+FFFF.
func utf16Units(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

const ellipsis = '…'

// truncate cuts a text so that it has at most n units, with an ellipsis at the
// end where something was cut and there is room for one. What is not UTF-8
// becomes U+FFFD.
func truncate(s string, n int, of unit) string {
	size, fits := 0, 0 // fits: octets of s before which an ellipsis has room
	for i, r := range s {
		if size+of(ellipsis) <= n {
			fits = i
		}
		if size += of(r); size > n {
			return shortened(s, fits, n, of)
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// shortened is s up to fits, or less where that would part a letter from its
// accents, or a picture made of several.
func shortened(s string, fits, n int, of unit) string {
	for fits > 0 {
		last, size := utf8.DecodeLastRuneInString(s[:fits])
		if next, _ := utf8.DecodeRuneInString(s[fits:]); !joins(next) && last != zeroWidthJoiner {
			break
		}
		fits -= size
	}
	if of(ellipsis) > n {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimRightFunc(s[:fits], unicode.IsSpace), "\uFFFD") + string(ellipsis)
}

// joins tells the characters that change the one before them.
func joins(r rune) bool {
	return r == zeroWidthJoiner || unicode.In(r, unicode.Mn, unicode.Me) || r >= 0x1f3fb && r <= 0x1f3ff // shades of skin
}

const zeroWidthJoiner = '\u200D'

// slug makes of a text what may stand in an address: letters and digits of
// US-ASCII in lower case, and hyphens between words; at most n octets. Accents are
// left out, other letters as well.
func slug(s string, n int) string {
	var b strings.Builder
	pending := false
	for _, r := range fold(s) {
		switch {
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
		case unicode.Is(unicode.Mn, r):
			continue
		default:
			pending = b.Len() > 0
			continue
		}
		need := 1
		if pending {
			need = 2
		}
		if b.Len()+need > n {
			break
		}
		if pending {
			b.WriteByte('-')
		}
		pending = false
		b.WriteRune(r)
	}
	return b.String()
}

// foreign are letters that no accent can be taken off.
var foreign = strings.NewReplacer("ß", "ss", "æ", "ae", "Æ", "ae", "œ", "oe", "Œ", "oe", "ø", "o", "Ø", "o", "ł", "l", "Ł", "l", "đ", "d", "Đ", "d", "þ", "th", "Þ", "th", "ð", "d", "Ð", "d", "ı", "i")

// fold parts letters from their accents.
func fold(s string) string { return norm.NFKD.String(foreign.Replace(s)) }
