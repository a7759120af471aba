package parser

import "strings"

// skipComment returns where the comment that begins at i ends (RFC 5322 section
// 3.2.2). Comments nest and hold quoted pairs. One that never ends reaches no
// further than its bracket: then the bracket was an ordinary character.
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

// stripComments takes the comments out of s; quoted strings stay as they are.
func stripComments(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return s
	}
	unclosed := strings.LastIndexByte(s, ')') // no comment ends after it
	var b strings.Builder
	for i := 0; i < len(s); {
		switch {
		case s[i] == '"':
			end := closingQuote(s, i+1)
			if end < 0 {
				b.WriteString(s[i:])
				return b.String()
			}
			b.WriteString(s[i : end+1])
			i = end + 1
		case s[i] == '(' && i < unclosed:
			end := skipComment(s, i)
			if end == i+1 { // it never ends, nor does any that begins before it closes
				b.WriteString(s[i:])
				return b.String()
			}
			b.WriteByte(' ')
			i = end
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String()
}
