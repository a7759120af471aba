package payload

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The bounds of a scan. What lies beyond them is passed on without being
// understood.
const (
	maxMIMELine   = 64 << 10 // octets of a line that are looked at together
	maxMIMEDepth  = 50
	maxMIMEHeader = 256 << 10
)

// mimeScan goes over a mail line by line and knows which body part it is in
// (RFC 2046, section 5.1). It shows the lines of parts without a transfer
// encoding to part, or writes the mail to out with those encoded that encode
// names.
type mimeScan struct {
	in     *bufio.Reader
	out    *bufio.Writer
	part   func(n int, e entity, line []byte)
	encode []bool

	boundaries []string // open, outermost first
	parts      int      // body parts so far
}

// entity is what a header says of what follows it.
type entity struct {
	boundary string // of a multipart
	message  bool   // another header follows
	identity bool   // no transfer encoding
	binary   bool   // it may have more than lines of text
	base64   bool
}

func (s *mimeScan) run() error {
	for again := true; again; {
		e, err := s.header()
		if err != nil {
			return err
		}
		if again, err = s.body(e); err != nil {
			return err
		}
	}
	return nil
}

// header reads and writes a header. Its Content-Transfer-Encoding is replaced
// where the part that follows is to be encoded.
func (s *mimeScan) header() (entity, error) {
	var lines [][]byte
	size, ends := 0, false
	for size < maxMIMEHeader && !ends {
		line, err := s.in.ReadSlice('\n')
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return entity{}, err
		}
		if len(line) > 0 {
			lines, size = append(lines, bytes.Clone(line)), size+len(line)
		}
		ends = err == io.EOF || len(bytes.TrimRight(line, "\r\n")) == 0
	}
	e := entity{}
	if ends {
		e = readEntity(lines)
	}
	encoded := e.boundary == "" && !e.message && s.parts < len(s.encode) && s.encode[s.parts]
	end := ""
	for i, line := range lines {
		end = lineEnd(line, end)
		last := i == len(lines)-1
		if encoded && isTransferEncoding(lines, i) {
			continue
		}
		if encoded && last {
			s.emit([]byte("Content-Transfer-Encoding: quoted-printable" + end))
		}
		s.emit(headerText(line))
	}
	return e, nil
}

// body reads and writes what follows a header, up to the next one; more says
// that there is one.
func (s *mimeScan) body(e entity) (more bool, err error) {
	switch {
	case e.message:
		return true, nil
	case e.boundary != "" && len(s.boundaries) < maxMIMEDepth:
		s.boundaries = append(s.boundaries, e.boundary)
		return s.lines(entity{}, -1)
	case e.boundary != "":
		e = entity{}
	}
	s.parts++
	return s.lines(e, s.parts-1)
}

// lines goes over the lines of body part n, or of what stands around parts, up to
// a boundary that begins a part. Line ends stay as they are, encoded or not, so
// that what is read of the part are the same octets; those of a part in binary are
// encoded with it, but for the last, which belongs to the boundary.
func (s *mimeScan) lines(e entity, n int) (more bool, err error) {
	encode := e.identity && n >= 0 && n < len(s.encode) && s.encode[n] && s.out != nil
	var qp *quotedprintable.Writer // of the line being written
	var end []byte                 // of the last line in binary
	for begin := true; ; {
		line, err := s.in.ReadSlice('\n')
		whole := !errors.Is(err, bufio.ErrBufferFull)
		if err != nil && err != io.EOF && whole {
			return false, err
		}
		if begin && len(s.boundaries) > 0 {
			if opens, closes := s.atBoundary(line); opens || closes {
				if err := s.finish(&qp); err != nil {
					return false, err
				}
				s.emit(end)
				s.emit(headerText(line))
				if opens || err == io.EOF {
					return opens && err != io.EOF, nil
				}
				e, n, encode, end = entity{}, -1, false, nil
				continue
			}
		}
		content := line
		if whole {
			content = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		}
		if s.part != nil && e.identity && n >= 0 {
			s.part(n, e, content)
		}
		switch {
		case !encode:
			s.emit(bodyText(content, e))
			s.emit(line[len(content):])
		case e.binary:
			s.encoded(&qp, end)
			s.encoded(&qp, content)
			end = append(end[:0], line[len(content):]...)
		default:
			s.encoded(&qp, content)
			if whole {
				if err := s.finish(&qp); err != nil {
					return false, err
				}
			}
			s.emit(line[len(content):])
		}
		if err == io.EOF {
			s.encoded(&qp, end)
			return false, s.finish(&qp)
		}
		begin = whole
	}
}

// encoded writes a part of a line in quoted-printable; its error comes from finish.
func (s *mimeScan) encoded(qp **quotedprintable.Writer, content []byte) {
	if len(content) == 0 {
		return
	}
	if *qp == nil {
		*qp = quotedprintable.NewWriter(s.out)
		(*qp).Binary = true
	}
	(*qp).Write(content)
}

// finish ends what encoded wrote.
func (s *mimeScan) finish(qp **quotedprintable.Writer) error {
	if *qp == nil {
		return nil
	}
	err := (*qp).Close()
	*qp = nil
	return err
}

// atBoundary tells whether the line is a delimiter of an open multipart, and
// closes those within it.
func (s *mimeScan) atBoundary(line []byte) (opens, closes bool) {
	if !bytes.HasPrefix(line, []byte("--")) {
		return false, false
	}
	rest := string(bytes.TrimRight(line[2:], " \t\r\n"))
	for i := len(s.boundaries) - 1; i >= 0; i-- {
		switch rest {
		case s.boundaries[i]:
			s.boundaries = s.boundaries[:i+1]
			return true, false
		case s.boundaries[i] + "--":
			s.boundaries = s.boundaries[:i]
			return false, true
		}
	}
	return false, false
}

func (s *mimeScan) emit(b []byte) {
	if s.out != nil {
		s.out.Write(b) // its error comes from Flush
	}
}

// readEntity reads the fields that say what follows a header.
func readEntity(lines [][]byte) entity {
	e := entity{identity: true}
	if v := fieldOf(lines, "content-transfer-encoding"); v != "" {
		switch strings.ToLower(strings.Trim(v, " \t\"';,.")) {
		case "7bit", "8bit":
		case "binary":
			e.binary = true
		case "base64":
			e.identity, e.base64 = false, true
		default:
			e.identity = false
		}
	}
	value := fieldOf(lines, "content-type")
	media, params, _ := mime.ParseMediaType(value)
	switch {
	case strings.HasPrefix(media, "multipart/") && params["boundary"] != "":
		e.boundary = params["boundary"]
	case len(value) > 10 && strings.EqualFold(value[:10], "multipart/"):
		// RFC 2045, section 6.4: a multipart is never encoded, and so is one whose
		// parts cannot be told.
		e.boundary, e.identity = boundaryIn(value), false
	case media == "message/rfc822" || media == "message/global":
		e.message = e.identity
	}
	return e
}

// boundaryIn finds the boundary in a Content-Type that breaks the rules.
func boundaryIn(value string) string {
	m := looseBoundary.FindStringSubmatch(value)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(m[1] + m[2])
}

var looseBoundary = regexp.MustCompile(`(?i)boundary\s*=\s*(?:"([^"]*)"|([^";]*))`)

// fieldOf is the value of the first field of that name, unfolded.
func fieldOf(lines [][]byte, name string) string {
	for i, line := range lines {
		if !hasName(line, name) {
			continue
		}
		_, v, _ := strings.Cut(string(line), ":")
		for _, more := range lines[i+1:] {
			if len(more) == 0 || more[0] != ' ' && more[0] != '\t' {
				break
			}
			v += string(more)
		}
		return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(v))
	}
	return ""
}

func hasName(line []byte, name string) bool {
	before, _, ok := bytes.Cut(line, []byte(":"))
	return ok && strings.EqualFold(string(bytes.TrimRight(before, " \t")), name)
}

// isTransferEncoding tells whether line i is one of the field.
func isTransferEncoding(lines [][]byte, i int) bool {
	for i > 0 && len(lines[i]) > 0 && (lines[i][0] == ' ' || lines[i][0] == '\t') {
		i--
	}
	return hasName(lines[i], "content-transfer-encoding")
}

// lineEnd is how the line ends, or before if it has no end.
func lineEnd(line []byte, before string) string {
	switch {
	case bytes.HasSuffix(line, []byte("\r\n")):
		return "\r\n"
	case bytes.HasSuffix(line, []byte("\n")):
		return "\n"
	case before == "":
		return "\r\n"
	}
	return before
}

// headerText is a line of a header in UTF-8. What is neither US-ASCII nor UTF-8
// was hardly ever anything but ISO 8859-1 or Windows-1252 of old programs, but
// nothing says so.
func headerText(line []byte) []byte { return bytes.ToValidUTF8(line, []byte("?")) }

// bodyText is a line of a body part in UTF-8 that is not encoded anew: one with a
// transfer encoding, which has no use for other octets.
func bodyText(line []byte, e entity) []byte {
	switch {
	case utf8.Valid(line):
		return line
	case e.base64:
		return bytes.ToValidUTF8(line, nil) // RFC 2045, section 6.8: to be ignored
	}
	return bytes.ToValidUTF8(line, []byte("?"))
}
