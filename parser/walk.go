package parser

import (
	"bytes"
	"strconv"
	"strings"
)

// part is one body part (RFC 2045 section 2.6). Its octets are those of the
// mail from start to end.
type part struct {
	id         string // as IMAP numbers it: "1", "2.1"
	header     header
	start, end int64
	children   []*part

	mediaType   string // lower case: "text/plain"
	params      params // of Content-Type
	disposition string // lower case; "" when the part has none
	dispParams  params
	encoding    encoding
	name        string // decoded file name, "" when the part has none
	cid         string // Content-ID without <>

	files []embeddedFile // encoded in the text of the part

	boundary string // of a multipart
	closed   bool   // its closing boundary came
	mended   bool   // its boundary was guessed already
}

func (pt *part) isMultipart() bool { return strings.HasPrefix(pt.mediaType, "multipart/") }

// walk finds the parts of the mail whose header begins at pos, in one pass
// over its octets: the multiparts that are open stand on a stack, and each line
// that begins with "--" is compared with their boundaries, innermost first.
func (p *parse) walk(pos int64) *part {
	root := p.openPart(nil, pos)
	p.scan(root)
	return root
}

// openPart reads the header at pos and makes the part it describes.
func (p *parse) openPart(parent *part, pos int64) *part {
	pt := &part{}
	switch {
	case parent == nil:
	case parent.id == "":
		pt.id = strconv.Itoa(len(parent.children) + 1)
	default:
		pt.id = parent.id + "." + strconv.Itoa(len(parent.children)+1)
	}
	where := "header"
	if parent != nil {
		where = "part " + pt.id
	}
	p.parts++
	pt.header, pt.start = p.readHeader(pos, where)
	pt.end = p.src.size
	p.describe(pt, parent)
	if parent == nil && !pt.isMultipart() {
		pt.id = "1" // RFC 3501 section 6.4.5
	}
	if parent != nil {
		parent.children = append(parent.children, pt)
	}
	return pt
}

// scan reads the body of a part up to the end of the mail.
func (p *parse) scan(pt *part) {
	p.scanRange(pt, pt.start, p.src.size)
}

// scanRange finds the parts within pt, between pos and limit.
func (p *parse) scanRange(pt *part, pos, limit int64) {
	base := len(p.open)
	if !p.push(pt, pos) {
		return
	}
	leaf := (*part)(nil)   // the part whose body is being passed over
	reopen := (*part)(nil) // a multipart that was closed, if its parent has none open since
	for {
		at, line, ok := p.nextDashes(pos, limit)
		if !ok {
			break
		}
		next := at + int64(line.length)
		i, closing := p.match(line.text, base)
		if i < 0 {
			if reopen == nil || !isBoundaryLine(line.text, reopen.boundary) {
				pos = next
				continue
			}
			p.problemOnce(ProblemAfterClose, "part "+reopen.id, "parts follow the closing boundary")
			p.open = append(p.open, reopen)
			i = len(p.open) - 1
		}
		reopen = nil
		end := p.beforeLineEnd(at)
		if leaf != nil {
			leaf.end = max(end, leaf.start)
			leaf = nil
		}
		for len(p.open)-1 > i {
			p.pop(end, true)
		}
		owner := p.open[i]
		if closing {
			owner.closed = true
			p.pop(at, false)
			reopen = owner
			pos = next
			continue
		}
		if p.parts >= p.lim.Parts {
			p.problemOnce(ProblemLimitParts, "body", "the mail has more parts than the limit; the rest was left out")
			for len(p.open) > base {
				p.open[len(p.open)-1].closed = true
				p.pop(end, false)
			}
			return
		}
		child := p.openPart(owner, next)
		pos = child.start
		if !p.push(child, pos) {
			leaf = child
		}
	}
	if leaf != nil {
		leaf.end = max(limit, leaf.start)
	}
	for len(p.open) > base {
		p.pop(limit, true)
	}
}

// push opens a multipart; it returns false for any other part, and for one too
// deep to be opened.
func (p *parse) push(pt *part, pos int64) bool {
	if !pt.isMultipart() {
		return false
	}
	if len(p.open) >= p.lim.Depth {
		p.problemOnce(ProblemLimitDepth, "body", "multiparts lie deeper than the limit; part "+pt.id+" was left closed")
		pt.closed = true
		return false
	}
	if pt.boundary == "" {
		pt.boundary = p.guessBoundary(pos, p.src.size)
		pt.mended = true
		if pt.boundary == "" {
			p.problem(ProblemNoBoundary, partWhere(pt), "a multipart without a boundary; read as text")
			pt.mediaType = "text/plain"
			return false
		}
		p.problem(ProblemNoBoundary, partWhere(pt), "a multipart without a boundary; one was found in its body")
	}
	p.open = append(p.open, pt)
	return true
}

// pop closes the innermost multipart, which ends at end.
func (p *parse) pop(end int64, unclosed bool) {
	pt := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	pt.end = max(end, pt.start)
	if len(pt.children) > 0 {
		if unclosed && !pt.closed {
			p.problemOnce(ProblemUnclosed, partWhere(pt), "the closing boundary is missing")
		}
		return
	}
	p.mend(pt)
}

// mend looks once more at a multipart whose boundary never came: for the
// boundary it has in truth, else it is read as text. What is read twice this
// way is bounded by twice the mail's size.
func (p *parse) mend(pt *part) {
	n := pt.end - pt.start
	if !pt.mended && n > 0 && p.reread+n <= 2*p.src.size && len(p.open) < p.lim.Depth {
		pt.mended = true
		p.reread += n
		if b := p.guessBoundary(pt.start, pt.end); b != "" {
			p.problem(ProblemWrongBoundary, partWhere(pt), "the boundary never came; another was found in the body")
			pt.boundary, pt.closed = b, false
			end := pt.end
			p.scanRange(pt, pt.start, end)
			return
		}
	}
	if n > 0 {
		p.problem(ProblemNoParts, partWhere(pt), "a multipart without parts; read as text")
		pt.mediaType, pt.disposition = "text/plain", ""
	}
}

// partWhere names a part in a problem.
func partWhere(pt *part) string {
	if pt.id == "" {
		return "body"
	}
	return "part " + pt.id
}

// dashLine is a line that begins with "--". text is cut where it is longer
// than any boundary; length counts the whole of what was seen of it.
type dashLine struct {
	text   []byte
	length int
}

// maxBoundary is how long a boundary may be: RFC 2046 section 5.1.1 allows 70,
// mail has more.
const maxBoundary = 1000

// nextDashes finds the next line that begins with "--", from pos on.
func (p *parse) nextDashes(pos, limit int64) (int64, dashLine, bool) {
	for pos < limit {
		b := p.src.at(pos, 8<<10)
		if int64(len(b)) > limit-pos {
			b = b[:limit-pos]
		}
		whole := pos+int64(len(b)) >= limit
		i := 0
		for {
			j := bytes.Index(b[i:], dashes)
			if j < 0 {
				i = len(b)
				if !whole {
					i-- // a dash may stand on the edge
				}
				break
			}
			i += j
			if !whole && len(b)-i < maxBoundary+16 {
				break // look again with the whole line in view
			}
			if i > 0 && b[i-1] != '\n' && b[i-1] != '\r' || i == 0 && !p.lineStart(pos) {
				for i < len(b) && b[i] == '-' {
					i++
				}
				continue
			}
			rest := b[i:min(len(b), i+maxBoundary+16)]
			text, n := rest, len(rest)
			if e := bytes.IndexAny(rest[:min(len(rest), 80)], "\r\n"); e >= 0 {
				text, n = rest[:e], e
			} else if e := bytes.IndexAny(rest, "\r\n"); e >= 0 {
				text, n = rest[:e], e
			}
			if n < len(rest) && rest[n] == '\r' {
				n++
			}
			if n < len(rest) && rest[n] == '\n' {
				n++
			}
			return pos + int64(i), dashLine{text, n}, true
		}
		if i == 0 && whole {
			break
		}
		pos += int64(max(i, 1))
	}
	return 0, dashLine{}, false
}

var dashes = []byte("--")

// lineStart tells whether a line begins at pos.
func (p *parse) lineStart(pos int64) bool {
	if pos == 0 {
		return true
	}
	c := p.octetBefore(pos)
	return c == '\n' || c == '\r'
}

// octetBefore returns the octet before pos without moving the window, where it
// can.
func (p *parse) octetBefore(pos int64) byte {
	if i := pos - 1 - p.src.off; i >= 0 && i < int64(len(p.src.buf)) {
		return p.src.buf[i]
	}
	var b [1]byte
	if n, _ := p.src.r.ReadAt(b[:], pos-1); n == 1 {
		return b[0]
	}
	return 0
}

// beforeLineEnd returns where the line end before at begins: it belongs to the
// delimiter, not to the part (RFC 2046 section 5.1.1).
func (p *parse) beforeLineEnd(at int64) int64 {
	if at == 0 {
		return 0
	}
	switch p.octetBefore(at) {
	case '\n':
		if at > 1 && p.octetBefore(at-1) == '\r' {
			return at - 2
		}
		return at - 1
	case '\r':
		return at - 1
	}
	return at
}

// match finds the open multipart, innermost first, that line delimits, and
// whether it closes it.
func (p *parse) match(line []byte, base int) (int, bool) {
	if len(line) < 3 {
		return -1, false
	}
	for i := len(p.open) - 1; i >= base; i-- {
		b := p.open[i].boundary
		if !hasBoundary(line, b) {
			continue
		}
		rest := bytes.TrimRight(line[2+len(b):], " \t")
		if len(rest) == 0 {
			return i, false
		}
		if string(rest) == "--" {
			return i, true
		}
	}
	return -1, false
}

// hasBoundary tells whether line is "--" and boundary, and perhaps more.
func hasBoundary(line []byte, boundary string) bool {
	return len(line) >= 2+len(boundary) && string(line[2:2+len(boundary)]) == boundary
}

func isBoundaryLine(line []byte, boundary string) bool {
	return hasBoundary(line, boundary) && len(bytes.TrimRight(line[2+len(boundary):], " \t")) == 0
}

// isDelimiter tells whether line delimits one of the open multiparts.
func (p *parse) isDelimiter(line []byte) bool {
	if len(p.open) == 0 || len(line) < 3 || line[0] != '-' || line[1] != '-' {
		return false
	}
	i, _ := p.match(line, 0)
	return i >= 0
}

// guessBoundary looks near pos for a line that begins with "--" and has a
// Content- field under it: the boundary of a multipart that names none, or a
// wrong one.
func (p *parse) guessBoundary(pos, limit int64) string {
	limit = min(limit, pos+16<<10)
	for tries := 0; tries < 20; tries++ {
		at, line, ok := p.nextDashes(pos, limit)
		if !ok {
			return ""
		}
		name := string(bytes.TrimRight(line.text[2:], " \t"))
		pos = at + int64(max(line.length, 1))
		under := p.src.at(pos, 16)
		if name != "" && len(name) <= maxBoundary && !strings.HasSuffix(name, "--") && len(under) >= 8 && bytes.EqualFold(under[:8], []byte("content-")) {
			return name
		}
	}
	return ""
}
