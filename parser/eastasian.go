package parser

import (
	"strings"
	"unicode"

	xencoding "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// eastAsian are the charsets of two octets for each character, and how the text of
// a language that is written in them is known: by letters no sentence does without.
var eastAsian = [...]struct {
	encoding xencoding.Encoding
	common   func(rune) bool
}{
	{japanese.ShiftJIS, isKana},
	{japanese.EUCJP, isKana},
	{traditionalchinese.Big5, among("的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子之其者於所與无無曰")},
	{simplifiedchinese.GB18030, among("的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子之其者于所与，。")},
	{korean.EUCKR, among("이다는에을의를가고한은하지사로기도니어으나리해")},
}

func isKana(r rune) bool { return r >= 0x3041 && r <= 0x30fe }

func among(letters string) func(rune) bool {
	return func(r rune) bool { return strings.ContainsRune(letters, r) }
}

const (
	eastAsianSample = 4 << 10
	eastAsianLeast  = 10 // letters above 127; of fewer nothing is told
)

// guessEastAsian reads octets of which nothing is known in the charset in which most
// of their letters are common ones; false where they are in none.
func guessEastAsian(octets []byte) (string, bool) {
	sample := octets
	if len(sample) > eastAsianSample {
		sample = sample[:eastAsianSample]
		for len(sample) > 0 && sample[len(sample)-1] >= 0x30 { // which may be the first half of a letter
			sample = sample[:len(sample)-1]
		}
	}
	best, found := 0.1, xencoding.Encoding(nil)
	for _, e := range eastAsian {
		text, ok := with(e.encoding)(sample)
		if !ok {
			continue
		}
		letters, common := 0, 0
		for _, r := range text {
			switch {
			case r <= unicode.MaxASCII:
			case r >= 0xff61 && r <= 0xff9f: // half-width katakana: the other letters in Shift_JIS
				letters += 2
			default:
				letters++
				if e.common(r) {
					common++
				}
			}
		}
		if share := float64(common) / float64(max(letters, 1)); letters >= eastAsianLeast && share > best {
			best, found = share, e.encoding
		}
	}
	if found == nil {
		return "", false
	}
	text, _ := with(found)(octets)
	return text, true
}
