package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/postferry/postferry/internal/dial"
)

const (
	maxAnswer   = 64 << 10 // octets of an answer that are read, so that the connection can be used again
	maxAsked    = 1 << 20  // of one that may have a mail in it
	keptAnswer  = 4 << 10  // of which these are looked at in a yes, unless the sink looks at answers
	answerShown = 512      // of which these are kept, escaped
)

// answer is what came back.
type answer struct {
	status int
	header http.Header
	octets []byte // its beginning
	whole  bool   // octets are all of it
	shown  string // for the record

	decoded bool
	value   any
}

// readAnswer reads the answer's body up to maxAnswer. An answer that breaks off
// has still been given: its status counts.
func (s *Sink) readAnswer(resp *http.Response) *answer {
	a := &answer{status: resp.StatusCode, header: resp.Header, whole: true}
	if resp.ContentLength == 0 {
		return a
	}
	keep := s.keeps()
	if resp.StatusCode > 299 {
		keep = max(keep, maxAnswer) // it may say how long to wait
	}
	var err error
	a.octets, err = io.ReadAll(io.LimitReader(resp.Body, int64(keep)))
	cut := len(a.octets) == keep
	if err == nil && cut && keep < maxAnswer {
		io.Copy(io.Discard, io.LimitReader(resp.Body, int64(maxAnswer-keep)))
	}
	a.whole = err == nil && !cut
	text := s.redact.begin(string(a.octets[:min(len(a.octets), keptAnswer)]), len(a.octets) >= keptAnswer)
	if len(text) > answerShown {
		text = text[:answerShown] + "…"
	}
	a.shown = dial.Printable(text)
	return a
}

// keeps is how many octets of an answer the sink looks at.
func (s *Sink) keeps() int {
	switch {
	case s.directives.asks():
		return maxAsked
	case s.looks:
		return maxAnswer
	}
	return keptAnswer
}

// json is the body as JSON; nil where it is none, or not whole.
func (a *answer) json() any {
	if !a.decoded {
		a.decoded = true
		if text := bytes.TrimSpace(a.octets); a.whole && len(text) > 0 {
			_ = json.Unmarshal(text, &a.value) // value stays nil
		}
	}
	return a.value
}
