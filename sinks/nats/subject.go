package nats

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/postferry/postferry/internal/dial"
)

const (
	longestToken   = 128 // octets of a mail in one hole of a subject
	longestSubject = 1024
)

// token is a text of a mail as one token of a subject: what separates, what is a
// wildcard and what cannot be there becomes _.
func token(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), longestToken)], "_")
	s = strings.Map(func(r rune) rune {
		if r == '.' || r == '*' || r == '>' || unicode.IsSpace(r) || unicode.IsControl(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "_"
	}
	return s
}

// checkSubject refuses what a message cannot be published to.
func checkSubject(subject string) error {
	switch {
	case subject == "":
		return errors.New("the subject is empty")
	case len(subject) > longestSubject:
		return fmt.Errorf("the subject has %d octets, more than %d", len(subject), longestSubject)
	case strings.HasPrefix(subject, "$"):
		return fmt.Errorf("subject %q is the server's own", dial.Printable(subject))
	}
	for part := range strings.SplitSeq(subject, ".") {
		if part == "" || strings.ContainsAny(part, "*>") || strings.ContainsFunc(part, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return fmt.Errorf("subject %q cannot be published to: it wants words with dots between, without wildcards and spaces", dial.Printable(subject))
		}
	}
	return nil
}
