package dial

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/postferry/postferry/internal/secret"
)

// Hidden stands for what is not shown.
const Hidden = "<hidden>"

// Hider finds secrets in what a server says: as they are, quoted or escaped,
// percent-encoded, in hexadecimal, and in base64 by themselves or in the middle
// of something longer.
type Hider struct {
	secrets []string // in lower case
	folded  []string // forms for which letter case does not count, in lower case
	exact   []string // forms in base64
}

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
	h.secrets = append(h.secrets, strings.ToLower(s))
	for _, form := range []string{
		s, Printable(s), quoted(s), quoted(Printable(s)), ascii(s), url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)),
	} {
		h.folded = append(h.folded, strings.ToLower(form))
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		h.exact = append(h.exact, enc.EncodeToString([]byte(s)))
		for shift := range 3 {
			if form := within(enc, s, shift); len(form) >= minForm {
				h.exact = append(h.exact, form)
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

// Holds reports whether text holds a secret in any form.
func (h *Hider) Holds(text string) bool {
	lower := strings.ToLower(text)
	for _, form := range h.folded {
		if strings.Contains(lower, form) {
			return true
		}
	}
	for _, form := range h.exact {
		if strings.Contains(text, form) {
			return true
		}
	}
	return len(h.secrets) > 0 && h.encoded(text)
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

func (h *Hider) plain(text string) bool {
	text = strings.ToLower(text)
	for _, s := range h.secrets {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// Clean is text with every secret masked; where that is not possible the whole
// text is Hidden.
func (h *Hider) Clean(text string) string {
	if !h.Holds(text) {
		return text
	}
	for _, forms := range [][]string{h.folded, h.exact} {
		for _, form := range forms {
			text = replaceFold(text, form, secret.Masked)
		}
	}
	if h.Holds(text) {
		return Hidden
	}
	return text
}

// replaceFold replaces form wherever it stands, whatever the letter case.
func replaceFold(text, form, by string) string {
	var b strings.Builder
	lower := strings.ToLower(text)
	if len(lower) != len(text) { // letters whose cases differ in length
		return strings.ReplaceAll(text, form, by)
	}
	for form = strings.ToLower(form); ; {
		i := strings.Index(lower, form)
		if i < 0 {
			return b.String() + text
		}
		b.WriteString(text[:i] + by)
		text, lower = text[i+len(form):], lower[i+len(form):]
	}
}
