package parser

import "strings"

// unflow joins the lines of a text/plain; format=flowed that its sender broke
// (RFC 3676 section 4): one that ends in a space goes on in the next. Quotes keep
// their marks, with a space between them and the text.
func unflow(s string, delsp bool) string {
	var b strings.Builder
	b.Grow(len(s) + strings.Count(s, ">"))
	flowed, depth := false, 0 // of the line before
	for first := true; s != "" || first; first = false {
		line, rest, ended := strings.Cut(s, "\n")
		s = rest
		quotes := 0
		for quotes < len(line) && line[quotes] == '>' {
			quotes++
		}
		line = strings.TrimPrefix(line[quotes:], " ") // section 4.4: a space was put before it
		signature := line == "-- "                    // section 4.3
		switch {
		case flowed && quotes == depth && line != "" && !signature: // section 4.5: only within one depth
		default:
			if !first {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Repeat(">", min(quotes, maxFlowedQuotes)))
			if quotes > 0 && line != "" {
				b.WriteByte(' ')
			}
		}
		flowed, depth = ended && !signature && strings.HasSuffix(line, " "), quotes
		if flowed && delsp {
			line = line[:len(line)-1] // section 4.1
		}
		b.WriteString(line)
		if ended && s == "" {
			b.WriteByte('\n')
			break
		}
	}
	return b.String()
}

// maxFlowedQuotes bounds the marks before a line; nobody quotes so often.
const maxFlowedQuotes = 100
