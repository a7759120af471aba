package parser

import "strings"

// skipper passes over the quoted-strings and comments of a value. A value may
// open thousands that never close; to look for the end of each would cost the
// square of its length, so one that never closes ends the search for its kind.
type skipper struct {
	noQuote, noComment bool
}

// past returns where the quoted-string (RFC 5322 section 3.2.4) or comment
// (section 3.2.2) that begins at i ends. Where it never ends, it was an ordinary
// character, and i+1 is returned.
func (k *skipper) past(s string, i int) int {
	switch {
	case s[i] == '"' && !k.noQuote:
		if end := closingQuote(s, i+1); end >= 0 {
			return end + 1
		}
		k.noQuote = true
	case s[i] == '(' && !k.noComment:
		if end := skipComment(s, i); end > i+1 {
			return end
		}
		k.noComment = true
	}
	return i + 1
}

// skipComment returns where the comment that begins at i ends. Comments nest and
// hold quoted pairs. For one that never ends it returns i+1.
func skipComment(s string, i int) int {
	depth := 0
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return j + 1
			}
		}
	}
	return i + 1
}

// closingQuote finds the quote that closes a quoted-string whose text begins at
// i; -1 where there is none.
func closingQuote(s string, i int) int {
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// stripComments takes the comments out of s; quoted strings stay as they are.
func stripComments(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	var k skipper
	plain := 0 // where the text not yet taken begins
	for i := 0; i < len(s); {
		if s[i] != '(' && s[i] != '"' {
			i++
			continue
		}
		next := k.past(s, i)
		if s[i] == '(' && next > i+1 {
			b = append(append(b, s[plain:i]...), ' ')
			plain = next
		}
		i = next
	}
	return string(append(b, s[plain:]...))
}

// firstComment is the text of the first comment outside quotes.
func firstComment(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return ""
	}
	var k skipper
	for i := 0; i < len(s); {
		next := k.past(s, i)
		if s[i] == '(' && next > i+1 {
			return strings.TrimSpace(unescape(s[i+1 : next-1]))
		}
		i = next
	}
	return ""
}

// unescape takes the backslashes of quoted pairs away. A backslash before
// anything but a quote, a bracket or a backslash is one of a Windows path and
// stays.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`"\()`, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
