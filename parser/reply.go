package parser

import (
	"regexp"
	"strings"
)

// splitReply parts a text into what its author wrote and what was quoted.
func splitReply(text string) *Reply {
	lines := strings.Split(text, "\n")
	var fresh, quoted []string
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, ">") {
			quoted = append(quoted, line)
			continue
		}
		if n := attribution(lines[i:]); n > 0 {
			quoted = append(quoted, lines[i:i+n]...)
			i += n - 1
			continue
		}
		if originalMark.MatchString(line) {
			quoted = append(quoted, lines[i:]...)
			break
		}
		if line == "-- " || line == "--" {
			break
		}
		fresh = append(fresh, line)
	}
	return &Reply{Text: strings.Trim(strings.Join(fresh, "\n"), " \n\t"), Quoted: strings.Trim(strings.Join(quoted, "\n"), "\n")}
}

var originalMark = regexp.MustCompile(`^-{3,}\s*Original Message\s*-{3,}$`)

// attribution tells how many lines introduce a quote: "On …, … wrote:".
func attribution(lines []string) int {
	if !strings.HasPrefix(lines[0], "On ") {
		return 0
	}
	for n, line := range lines[:min(len(lines), 4)] {
		if strings.HasSuffix(strings.TrimSpace(line), "wrote:") {
			return n + 1
		}
		if strings.TrimSpace(line) == "" {
			return 0
		}
	}
	return 0
}
