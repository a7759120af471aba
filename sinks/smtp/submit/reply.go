package submit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/postferry/postferry/internal/dial"
)

// Reply is a server's answer (RFC 5321 section 4.2).
type Reply struct {
	Code     int    // 200 to 599; 0 is no reply
	Enhanced Status // RFC 3463; zero where the server sends none
	Text     string // of all lines, joined by spaces, without the codes; as the server said it
}

// Status is an enhanced status code (RFC 3463): class, subject, detail.
type Status struct{ Class, Subject, Detail int }

// String is the status as servers write it; "" for the zero Status.
func (s Status) String() string {
	if s.Class == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", s.Class, s.Subject, s.Detail)
}

// String is the reply in one line, safe to show: "250 2.0.0 queued as 4F2A".
func (r Reply) String() string {
	text := strconv.Itoa(r.Code)
	if r.Enhanced.Class != 0 {
		text += " " + r.Enhanced.String()
	}
	if r.Text != "" {
		text += " " + dial.Printable(r.Text)
	}
	return text
}

// newReply makes a Reply of the text of each line. The enhanced code is the first
// line's, and taken off the others where they repeat it (RFC 2034 section 4).
func newReply(code int, lines []string) Reply {
	r := Reply{Code: code}
	var texts []string
	for i, line := range lines {
		s, rest, ok := cutStatus(line)
		switch {
		case ok && s.Class != code/100: // RFC 2034 section 4: the class is the reply's
		case ok && i == 0:
			r.Enhanced, line = s, rest
		case ok && s == r.Enhanced:
			line = rest
		}
		if line = strings.TrimSpace(line); line != "" {
			texts = append(texts, line)
		}
	}
	r.Text = strings.Join(texts, " ")
	return r
}

// cutStatus takes the enhanced status code off the beginning of a line (RFC 3463
// section 2).
func cutStatus(line string) (s Status, rest string, ok bool) {
	word, rest, _ := strings.Cut(line, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 {
		return Status{}, line, false
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil || len(p) > 3 || i == 0 && v != 2 && v != 4 && v != 5 {
			return Status{}, line, false
		}
		n[i] = int(v)
	}
	return Status{n[0], n[1], n[2]}, rest, true
}
