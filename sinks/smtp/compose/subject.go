package compose

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The words that mail programs of the world put before the subject of an answer,
// and of a mail passed on, in lower case.
var (
	answerWords  = []string{"re", "aw", "sv", "antw", "vs", "odp", "res", "ref", "r", "ynt", "ha", "на", "отв", "回复", "回覆", "答复", "答覆", "返信", "답장", "σχετ", "תגובה", "رد"}
	forwardWords = []string{"fwd", "fw", "wg", "tr", "rv", "enc", "vb", "vl", "doorst", "pd", "i", "ilt", "i̇lt", "转发", "轉寄", "転送", "전달", "πρθ", "הועבר", "пересл", "إعادة توجيه"}
)

// replySubject is the subject of an answer (RFC 5322, section 3.6.5): "Re: " and
// the subject without what earlier answers put before it, in whatever language.
func replySubject(subject string) string {
	return strings.TrimSpace("Re: " + stripPrefixes(oneLine(subject), answerWords))
}

// forwardSubject is the subject of a mail passed on.
func forwardSubject(subject string) string {
	return strings.TrimSpace("Fwd: " + stripPrefixes(oneLine(subject), forwardWords))
}

// automaticSubject is the subject of an automatic answer (RFC 3834, section 3.1.5).
func automaticSubject(subject string) string {
	return strings.TrimSpace("Auto: " + stripPrefixes(oneLine(subject), slices.Concat(answerWords, []string{automatic})))
}

const automatic = "auto"

// baseSubject is what answers to one mail have in common.
func baseSubject(subject string) string {
	return strings.ToLower(stripPrefixes(oneLine(subject), slices.Concat(answerWords, forwardWords, []string{automatic})))
}

func stripPrefixes(s string, known []string) string {
	for s = strings.TrimSpace(s); ; {
		rest, ok := stripPrefix(s, known)
		if !ok {
			return s
		}
		s = rest
	}
}

// stripPrefix takes one prefix away: a known word, perhaps a count in brackets
// ("Re[2]", "Re(3)", "Re^4"), and a colon.
func stripPrefix(s string, known []string) (string, bool) {
	colon := strings.IndexAny(s, ":：")
	if colon <= 0 || colon > 40 {
		return s, false
	}
	word := strings.ToLower(strings.TrimSpace(s[:colon]))
	if cut := strings.IndexAny(word, "[(^"); cut > 0 {
		if strings.Trim(word[cut:], "[](){}^ 0123456789") != "" {
			return s, false
		}
		word = strings.TrimSpace(word[:cut])
	}
	if !slices.Contains(known, word) {
		return s, false
	}
	_, size := utf8.DecodeRuneInString(s[colon:])
	return strings.TrimLeftFunc(s[colon+size:], unicode.IsSpace), true
}
