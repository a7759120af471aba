package parser

import (
	"bytes"
	"slices"
	"strings"
)

// field is one header field, unfolded, its octets as they came.
type field struct {
	name  string // as written
	value string // without the folds and the white space around it
	key   uint32 // nameKey of name
}

// nameKey is the same for names that are one in any case, and differs for most
// others: a header is asked for dozens of names, and has few of them.
func nameKey(name string) uint32 {
	n := len(name)
	if n == 0 {
		return 0
	}
	return uint32(n)<<24 | uint32(name[0]|0x20)<<16 | uint32(name[n/2]|0x20)<<8 | uint32(name[n-1]|0x20)
}

// is tells whether the field is called name, whose key is key.
func (f *field) is(name string, key uint32) bool {
	return f.key == key && strings.EqualFold(f.name, name)
}

// header is the fields of one header, in order.
type header []field

// get returns the value of the last field called name, as RFC 8621 section
// 4.1.3 wants it.
func (h header) get(name string) (string, bool) {
	key := nameKey(name)
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].is(name, key) {
			return h[i].value, true
		}
	}
	return "", false
}

// first returns the value of the first field called name: of two Content-Type
// fields most software believes the first.
func (h header) first(name string) (string, bool) {
	key := nameKey(name)
	for i := range h {
		if h[i].is(name, key) {
			return h[i].value, true
		}
	}
	return "", false
}

// count returns how many fields are called name.
func (h header) count(name string) int {
	n, key := 0, nameKey(name)
	for i := range h {
		if h[i].is(name, key) {
			n++
		}
	}
	return n
}

// all yields the values of the fields called name, in order.
func (h header) all(name string) func(yield func(value string) bool) {
	key := nameKey(name)
	return func(yield func(string) bool) {
		for i := range h {
			if h[i].is(name, key) && !yield(h[i].value) {
				return
			}
		}
	}
}

// headerReader collects the fields of one header.
type headerReader struct {
	p     *parse
	where string
	text  []byte // the fields unfolded, one after the other
	spans []fieldSpan
	cut   bool // nothing more is collected
	junk  bool // the last line was no field, nor is what folds on to it
}

// fieldSpan says where in text a field lies.
type fieldSpan struct{ name, colon, end int }

// readHeader reads the header that begins at pos (RFC 5322 section 2.2) and
// returns its fields and where the body begins. A line that delimits an open
// multipart ends the header too.
func (p *parse) readHeader(pos int64, where string) (header, int64) {
	h := headerReader{p: p, where: where, text: p.src.lent.text[:0], spans: p.src.lent.spans[:0]}
	start := pos
	want := 4 << 10
	for {
		b := p.src.at(pos, want)
		i, lf := 0, -1
		more := pos+int64(len(b)) < p.src.size
		for i < len(b) {
			if lf < i {
				if lf = bytes.IndexByte(b[i:], '\n'); lf < 0 {
					lf = len(b)
				} else {
					lf += i
				}
			}
			end, next := p.headerLine(b, i, lf)
			if more && next+1000 > len(b) {
				break // the line, or the one after it, may go on beyond the window
			}
			line := b[i:end]
			if len(line) == 0 {
				if h.noHeader() {
					return h.fields(), start
				}
				return h.fields(), pos + int64(next)
			}
			if p.isDelimiter(line) {
				p.problem(ProblemNoBlankLine, where, "a boundary follows the header without a blank line")
				return h.fields(), pos + int64(i)
			}
			if !h.line(line, b[next:], pos+int64(i)-start) {
				return h.fields(), pos + int64(i)
			}
			i = next
		}
		pos += int64(i)
		if !more {
			return h.fields(), pos
		}
		if i == 0 {
			if want >= p.lim.HeaderBytes {
				h.limit()
				return h.fields(), p.skipHeader(pos)
			}
			want = min(max(len(b), want)*2, p.lim.HeaderBytes+4096)
			continue
		}
		want = 4 << 10
		if h.cut && pos-start > int64(p.lim.HeaderBytes) {
			return h.fields(), p.skipHeader(pos)
		}
	}
}

// noHeader tells whether all the lines before a mail's first blank line were junk:
// then they are text that came without a header, and none of it is lost.
func (h *headerReader) noHeader() bool {
	if h.where != "header" || !h.junk || h.cut || len(h.spans) > 0 {
		return false
	}
	h.p.msg.Problems = slices.DeleteFunc(h.p.msg.Problems, func(q Problem) bool { return q.Code == ProblemBadHeaderLine && q.Where == h.where })
	return true
}

// headerLine finds where the line at i ends, and where the next begins; lf is
// the next LF. Lines end in CRLF or LF. A lone CR ends a line too where a field
// or a blank line follows it: old systems wrote such mail.
func (p *parse) headerLine(b []byte, i, lf int) (end, next int) {
	rest, nl := b[i:], lf-i
	next = min(lf+1, len(b))
	line := rest[:nl]
	for from := 0; ; {
		cr := bytes.IndexByte(line[from:], '\r')
		if cr < 0 {
			return i + nl, next
		}
		cr += from
		after := bytes.TrimLeft(line[cr:], "\r")
		if len(after) == 0 && (next < len(b) || nl < len(rest)) {
			return i + cr, next // CR LF, and CR CR LF
		}
		if cr == 0 || len(after) == 0 || len(line)-len(after)-cr > 1 || isFieldLine(after) {
			p.problemOnce(ProblemBareCR, "header", "a lone CR ends a line")
			return i + cr, i + cr + 1
		}
		from = cr + 1
	}
}

// isFieldLine tells whether line begins like a header field: a name without
// white space or control characters, and a colon (RFC 5322 section 2.2; white
// space before the colon is the obsolete syntax of section 4.5).
func isFieldLine(line []byte) bool {
	for i, c := range line {
		if c == ':' {
			return i > 0
		}
		if c == ' ' || c == '\t' {
			rest := bytes.TrimLeft(line[i:min(len(line), i+100)], " \t")
			return i > 0 && len(rest) > 0 && rest[0] == ':'
		}
		if c < ' ' || c == 0x7f || i > 500 {
			return false
		}
	}
	return false
}

// line takes one line of the header. It returns false where the line belongs
// to the body: neither it nor the line after it looks like a header.
func (h *headerReader) line(line, next []byte, offset int64) bool {
	switch {
	case (line[0] == ' ' || line[0] == '\t') && (len(h.spans) > 0 || h.cut || h.junk):
		if h.junk || h.cut {
			return true
		}
		h.fold(line)
		return true
	case isFieldLine(line):
		h.junk = false
		h.add(line)
		return true
	case len(bytes.TrimSpace(line)) == 0:
		return true
	}
	// A line without a colon. If the header goes on after it, it is junk in
	// the header; if not, the blank line before the body is missing.
	if !goesOn(next) {
		if len(h.spans) > 0 {
			h.p.problem(ProblemNoBlankLine, h.where, "the body follows the header without a blank line")
		}
		return false
	}
	if isMboxLine(line) && offset < 1024 && len(h.spans) == 0 {
		h.p.problem(ProblemMboxLine, h.where, clip(string(line), 80))
		return true
	}
	h.junk = true
	h.p.problem(ProblemBadHeaderLine, h.where, clip(string(line), 80))
	return true
}

// goesOn tells whether b begins with a header field, a fold or a blank line.
func goesOn(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	switch b[0] {
	case ' ', '\t', '\r', '\n':
		return true
	}
	line := b[:min(len(b), 1000)]
	if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	return isFieldLine(line)
}

func isMboxLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// room tells whether n more octets may be collected.
func (h *headerReader) room(n int) bool {
	if h.cut {
		return false
	}
	if len(h.text)+n > h.p.lim.HeaderBytes || h.p.headerTotal+len(h.text)+n > h.p.lim.TotalHeaderBytes {
		h.limit()
		return false
	}
	return true
}

func (h *headerReader) limit() {
	if !h.cut {
		h.p.problem(ProblemLimitHeaderSize, h.where, "the header is larger than the limit; the rest of it was left out")
	}
	h.cut = true
}

// add begins a field.
func (h *headerReader) add(line []byte) {
	if !h.room(len(line)) {
		return
	}
	if len(h.spans) >= h.p.lim.HeaderFields {
		h.p.problem(ProblemLimitHeaderFields, h.where, "the header has more fields than the limit; the rest was left out")
		h.cut = true
		return
	}
	colon := bytes.IndexByte(line, ':')
	at := len(h.text)
	h.text = append(h.text, line...)
	h.spans = append(h.spans, fieldSpan{at, at + colon, len(h.text)})
}

// fold joins a continued line to the field before it (RFC 5322 section 2.2.3).
// A tab that only folds becomes a space.
func (h *headerReader) fold(line []byte) {
	if !h.room(len(line)) {
		return
	}
	at := len(h.text)
	h.text = append(h.text, line...)
	if line[0] == '\t' {
		h.text[at] = ' '
	}
	h.spans[len(h.spans)-1].end = len(h.text)
}

// fields makes the header from what was collected: one string holds all. The list
// is lent for as long as the mail is read.
func (h *headerReader) fields() header {
	p := h.p
	p.src.lent.text, p.src.lent.spans = h.text, h.spans // kept for the next header
	p.headerTotal += len(h.text)
	text := string(h.text)
	lent := p.src.lent
	at := len(lent.fields)
	lent.fields = slices.Grow(lent.fields, len(h.spans))[:at+len(h.spans)]
	out := header(lent.fields[at:len(lent.fields):len(lent.fields)])
	for i, s := range h.spans {
		name := s.colon
		for name > s.name && isWSP(text[name-1]) {
			name--
		}
		from, to := s.colon+1, s.end
		for from < to && isWSP(text[from]) {
			from++
		}
		for to > from && isWSP(text[to-1]) {
			to--
		}
		out[i] = field{name: text[s.name:name], value: text[from:to], key: nameKey(text[s.name:name])}
	}
	return out
}

// skipHeader finds the body of a header too large to be read: after the next
// blank line, or at the next delimiter of an open multipart.
func (p *parse) skipHeader(pos int64) int64 {
	lineStart := true
	for pos < p.src.size {
		b := p.src.at(pos, 4<<10)
		last := pos+int64(len(b)) >= p.src.size
		i := 0
		for i < len(b) {
			nl := bytes.IndexByte(b[i:], '\n')
			if nl < 0 {
				if lineStart && !last && i > 0 {
					break // look again with more of the line in view
				}
				i, lineStart = len(b), false
				continue
			}
			line := bytes.TrimRight(b[i:i+nl], "\r")
			if lineStart && len(line) == 0 {
				return pos + int64(i+nl+1)
			}
			if lineStart && p.isDelimiter(line) {
				return pos + int64(i)
			}
			i += nl + 1
			lineStart = true
		}
		pos += int64(i)
	}
	return p.src.size
}
