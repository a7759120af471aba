package dial

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postferry/postferry/internal/secret"
)

// Hidden stands for what is not shown.
const Hidden = "<hidden>"

// Hider finds secrets in what a server says: as they are, quoted or escaped,
// percent-encoded, in hexadecimal, and in base64 by themselves or in the middle
// of something longer. A secret of less than minSecret characters occurs in every
// text, and to mask each of its letters would tell what it is: it is found where
// it stands as a word of its own, as credentials do, also in what is encoded.
type Hider struct {
	secrets []form // in lower case
	folded  []form // forms for which letter case does not count, in lower case
	exact   []form // forms in base64
}

// form is one way in which a secret may stand in a text.
type form struct {
	text string
	word bool // only where no letter or digit comes before or after it
}

// minSecret is the least number of characters of a secret that is found in the
// middle of words.
const minSecret = 4

// minForm is the shortest piece of base64 that is looked for: shorter ones occur
// in every text.
const minForm = 4

// NewHider makes a Hider for secrets; empty ones are left out.
func NewHider(secrets ...secret.Secret) *Hider {
	h := &Hider{}
	for _, s := range secrets {
		if !s.IsZero() {
			h.learn(s.Reveal())
		}
	}
	return h
}

// and is a Hider that finds further secrets too.
func (h *Hider) and(secrets []secret.Secret) *Hider {
	all := NewHider(secrets...)
	all.secrets = append(all.secrets, h.secrets...)
	all.folded = append(all.folded, h.folded...)
	all.exact = append(all.exact, h.exact...)
	return all
}

func (h *Hider) learn(s string) {
	word := utf8.RuneCountInString(s) < minSecret
	h.secrets = append(h.secrets, form{strings.ToLower(s), word})
	for _, text := range []string{
		s, Printable(s), quoted(s), quoted(Printable(s)), ascii(s), url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)),
	} {
		h.folded = append(h.folded, form{strings.ToLower(text), word})
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		h.exact = append(h.exact, form{enc.EncodeToString([]byte(s)), word})
		for shift := range 3 {
			if text := within(enc, s, shift); !word && len(text) >= minForm {
				h.exact = append(h.exact, form{text, false})
			}
		}
	}
}

func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

func ascii(s string) string {
	q := strconv.QuoteToASCII(s)
	return q[1 : len(q)-1]
}

// within is the part of a base64 text that s alone decides when it begins shift
// octets after a multiple of three.
func within(enc *base64.Encoding, s string, shift int) string {
	whole := enc.WithPadding(base64.NoPadding).EncodeToString([]byte(strings.Repeat("\x00", shift) + s))
	from := (shift*8 + 5) / 6      // the first character with no bit of what comes before
	to := (shift + len(s)) * 8 / 6 // the end of the last with no bit of what comes after
	return whole[min(from, to):to]
}

// in is where the form stands in text first; -1 if it does not.
func (f form) in(text string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], f.text)
		if i < 0 {
			return -1
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(f.text):])
		if !f.word || !wordRune(before) && !wordRune(after) {
			return i
		}
		_, first := utf8.DecodeRuneInString(text[i:])
		from = i + first
	}
}

func wordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

func holdsAny(text string, forms []form) bool {
	return slices.ContainsFunc(forms, func(f form) bool { return f.in(text) >= 0 })
}

// Holds reports whether text holds a secret in any form.
func (h *Hider) Holds(text string) bool {
	return holdsAny(strings.ToLower(text), h.folded) || holdsAny(text, h.exact) || len(h.secrets) > 0 && h.encoded(text)
}

// encoded reports whether a word of text decodes to something with a secret in
// it.
func (h *Hider) encoded(text string) bool {
	if plain, err := url.QueryUnescape(text); err == nil && plain != text && h.plain(plain) {
		return true
	}
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+/-_", r)
	})
	for _, word := range words {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if plain, err := enc.DecodeString(word); err == nil && h.plain(string(plain)) {
				return true
			}
		}
	}
	return false
}

// plain reports whether decoded text holds a secret. Beside a short one there has
// to be text: words of the protocol that are taken for base64 decode to octets
// of every kind.
func (h *Hider) plain(text string) bool {
	lower := strings.ToLower(text)
	return slices.ContainsFunc(h.secrets, func(s form) bool {
		return s.in(lower) >= 0 && (!s.word || readable(strings.ReplaceAll(lower, s.text, "")))
	})
}

// readable reports whether text is no more than characters, and the separators of
// SASL.
func readable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool {
		return r == utf8.RuneError || r > 1 && unicode.IsControl(r) && !unicode.IsSpace(r)
	}) < 0
}

// Clean is text with every secret masked; where that is not possible the whole
// text is Hidden.
func (h *Hider) Clean(text string) string {
	if !h.Holds(text) {
		return text
	}
	for _, forms := range [][]form{h.folded, h.exact} {
		for _, f := range forms {
			text = f.mask(text)
		}
	}
	if h.Holds(text) {
		return Hidden
	}
	return text
}

// Error is err, or, where its text holds a secret, an error with that masked and err in
// its chain.
func (h *Hider) Error(err error) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); h.Holds(text) {
		return &masked{h.Clean(text), err}
	}
	return err
}

// masked is an error of which only a part may be shown.
type masked struct {
	text string
	err  error
}

func (m *masked) Error() string { return m.text }
func (m *masked) Unwrap() error { return m.err }

// mask replaces the form wherever it stands, whatever the letter case.
func (f form) mask(text string) string {
	var b strings.Builder
	f.text = strings.ToLower(f.text)
	lower := strings.ToLower(text)
	if len(lower) != len(text) { // letters whose cases differ in length
		if f.word {
			return text
		}
		return strings.ReplaceAll(text, f.text, secret.Masked)
	}
	for {
		i := f.in(lower)
		if i < 0 {
			return b.String() + text
		}
		b.WriteString(text[:i] + secret.Masked)
		text, lower = text[i+len(f.text):], lower[i+len(f.text):]
	}
}
