package dial

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxKept is how much of a line is looked at for secrets; what is shown of it is
// less.
const maxKept = 16 << 10

// sent notes what is written to the server. While signing in only the fact is
// noted: the octets are not looked at.
func (r *Record) sent(p []byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current() == StepSignIn {
		r.add("C", Hidden)
		return
	}
	for line := range bytes.Lines(p) {
		r.pop3.asked(line)
		r.add("C", r.shown(line))
	}
}

// received notes what was read from the server.
func (r *Record) received(p []byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard.take(p, r.hear)
}

// hear notes a line of the server. r.mu is held.
func (r *Record) hear(line []byte) {
	if n, whole, inside := r.pop3.heard(line); inside {
		if whole {
			r.add("S", elided(n))
		}
		return
	}
	text := r.shown(line)
	if r.current() == StepSignIn && bytes.HasPrefix(line, []byte("+ ")) {
		text = "+ " + Hidden // a server that repeats what it was sent, in whatever form
	}
	if n := len(r.steps); n > 0 && r.steps[n-1].Name == StepGreeting && r.steps[n-1].Said == "" {
		r.steps[n-1].Said = text
	}
	r.add("S", text)
	if n, ok := literal(line); ok && r.imap {
		r.heard.skip = n
		r.add("S", elided(n))
	}
}

// shown is a line as it may be shown.
func (r *Record) shown(line []byte) string {
	text := string(bytes.TrimRight(line, "\r\n"))
	if r.hide.Load().Holds(text) {
		return Hidden
	}
	return Printable(text)
}

// add appends a line to the step under way. r.mu is held.
func (r *Record) add(from, text string) {
	n := len(r.steps)
	if n == 0 {
		return
	}
	s := &r.steps[n-1]
	if len(s.Lines) == maxLines {
		s.Omitted++
		return
	}
	s.Lines = append(s.Lines, Line{At: time.Since(r.began), From: from, Text: text})
}

func elided(octets int64) string { return fmt.Sprintf("… %d octets", octets) }

// literal is the length of the literal that follows the line (RFC 3501 section
// 4.3).
func literal(line []byte) (octets int64, ok bool) {
	line, found := bytes.CutSuffix(bytes.TrimRight(line, "\r\n"), []byte("}"))
	open := bytes.LastIndexByte(line, '{')
	if !found || open < 0 {
		return 0, false
	}
	octets, err := strconv.ParseInt(string(bytes.TrimRight(line[open+1:], "+")), 10, 64)
	return octets, err == nil && octets >= 0
}

// assembler makes lines of what arrives in pieces. Of a long line it keeps the
// beginning.
type assembler struct {
	line []byte
	skip int64 // octets of a literal still to come
}

func (a *assembler) take(p []byte, each func(line []byte)) {
	for len(p) > 0 {
		if a.skip > 0 {
			n := min(a.skip, int64(len(p)))
			a.skip -= n
			p = p[n:]
			continue
		}
		piece, rest, ended := bytes.Cut(p, []byte("\n"))
		a.line = append(a.line, piece[:min(len(piece), maxKept-len(a.line))]...)
		if p = rest; ended {
			line := a.line
			a.line = nil
			each(line)
		}
	}
}

// flush passes on a line whose end has not come.
func (a *assembler) flush(each func(line []byte)) {
	if line := a.line; len(line) > 0 {
		a.line = nil
		each(line)
	}
}

// bodies tells which lines of a POP3 server belong to mails.
type bodies struct {
	due    int // RETR and TOP that were not answered yet
	inside bool
	octets int64
}

func (b *bodies) asked(line []byte) {
	word, _, _ := strings.Cut(string(line[:min(len(line), 5)]), " ")
	if word == "RETR" || word == "TOP" {
		b.due++
	}
}

// heard reports whether a line belongs to a mail; with its last line whole is
// true, and octets are how many there were.
func (b *bodies) heard(line []byte) (octets int64, whole, inside bool) {
	switch {
	case b.inside && string(bytes.TrimRight(line, "\r")) == ".":
		octets = b.octets
		*b = bodies{due: b.due}
		return octets, true, true
	case b.inside:
		b.octets += int64(len(line)) + 1 // the LF
		return 0, false, true
	case b.due > 0 && bytes.HasPrefix(line, []byte("+OK")):
		b.due--
		b.inside = true
	case b.due > 0 && bytes.HasPrefix(line, []byte("-ERR")):
		b.due--
	}
	return 0, false, false
}
