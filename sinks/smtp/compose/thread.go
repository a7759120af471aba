package compose

import (
	"slices"
	"strings"

	"github.com/postferry/postferry/parser"
)

// mostReferences is how many ids of a thread an answer names: the first, which a
// thread is known by, and the last.
const mostReferences = 30

// longestID is how long an id may be that is named, in octets.
const longestID = 250

// thread are the fields by which an answer is put with the mail it answers (RFC
// 5322, section 3.6.4): the ids for In-Reply-To and for References, without <>.
func thread(m *parser.Message) (inReplyTo string, references []string) {
	own := ids(m.MessageID)
	if len(own) == 0 {
		return "", nil // "the new message will have no 'In-Reply-To:' or 'References:' field"
	}
	references = ids(m.References)
	if answered := ids(m.InReplyTo); len(references) == 0 && len(answered) == 1 {
		references = answered
	}
	references = slices.DeleteFunc(references, func(id string) bool { return id == own[0] })
	if n := len(references); n > mostReferences-1 {
		references = append(references[:1:1], references[n-mostReferences+2:]...)
	}
	return own[0], append(references, own[0])
}

// ids are those ids that can be named: US-ASCII without spaces and brackets, each
// once.
func ids(list []string) []string {
	var out []string
	for _, id := range list {
		if id != "" && len(id) <= longestID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>()\\\",;", r) }) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// refer adds the fields of a thread.
func (h *header) refer(m *parser.Message) {
	inReplyTo, references := thread(m)
	if inReplyTo == "" {
		return
	}
	h.add("In-Reply-To", "<"+inReplyTo+">")
	h.add("References", "<"+strings.Join(references, "> <")+">")
}
