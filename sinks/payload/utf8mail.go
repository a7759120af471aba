package payload

import (
	"bufio"
	"fmt"
	"io"
	"unicode/utf8"
)

// mailText writes a mail for where only text in UTF-8 may stand: a JSON string, a
// field of a form. A mail that is UTF-8 is written octet for octet. In any other
// a body part that is not, and that no transfer encoding protects, is written in
// quoted-printable (RFC 2045, section 6.7), so that it means the same to who
// reads the mail; octets where no encoding is possible become "?".
type mailText struct {
	octets mailOctets
	parts  []bool // of the body parts, in order: whether it must be encoded; nil if the mail is UTF-8
	lf     bool
}

// mailOctets are those of a mail, as sinks.Delivery has them.
type mailOctets interface {
	Reader() io.Reader // from the first to the last, anew with each call
	Size() int64
}

// newMailText looks at the mail. With lf its lines end with LF, as those of a mail
// do in files; then a part in binary is encoded as well, whose CRs are its own.
func newMailText(o mailOctets, lf bool) (*mailText, error) {
	m := &mailText{octets: o, lf: lf}
	valid, err := isUTF8(o.Reader())
	if err != nil {
		return nil, fmt.Errorf("reading the mail from the store: %w", err)
	}
	if valid && !lf {
		return m, nil
	}
	m.parts = []bool{}
	s := mimeScan{in: bufio.NewReaderSize(o.Reader(), maxMIMELine), part: func(n int, e entity, line []byte) {
		for len(m.parts) <= n {
			m.parts = append(m.parts, false)
		}
		m.parts[n] = m.parts[n] || lf && e.binary || !utf8.Valid(line)
	}}
	if err := s.run(); err != nil {
		return nil, fmt.Errorf("reading the mail from the store: %w", err)
	}
	return m, nil
}

// size is that of what write writes, negative where it is not known.
func (m *mailText) size() int64 {
	if m.parts == nil {
		return m.octets.Size()
	}
	return -1
}

// write writes the mail; the same however often it is called.
func (m *mailText) write(w io.Writer) error {
	if m.parts == nil {
		_, err := io.Copy(w, m.octets.Reader())
		return err
	}
	lines := &lfWriter{w: w}
	if m.lf {
		w = lines
	}
	out := bufio.NewWriterSize(w, 32<<10)
	s := mimeScan{in: bufio.NewReaderSize(m.octets.Reader(), maxMIMELine), out: out, encode: m.parts}
	if err := s.run(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return lines.Close()
}

// isUTF8 tells whether all that r gives is UTF-8.
func isUTF8(r io.Reader) (bool, error) {
	buf := make([]byte, 32<<10)
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		all := buf[:kept+n]
		whole := len(all) - cutRune(all)
		if !utf8.Valid(all[:whole]) {
			return false, nil
		}
		kept = copy(buf, all[whole:])
		if err == io.EOF {
			return kept == 0, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// cutRune is how many octets at the end of b are the beginning of a character.
func cutRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}

// lfWriter writes LF for CRLF.
type lfWriter struct {
	w   io.Writer
	cr  bool // the last octet was a CR, and is not written yet
	buf []byte
}

func (l *lfWriter) Write(p []byte) (int, error) {
	b := l.buf[:0]
	for _, c := range p {
		if l.cr && c != '\n' {
			b = append(b, '\r')
		}
		if l.cr = c == '\r'; !l.cr {
			b = append(b, c)
		}
	}
	l.buf = b
	if _, err := l.w.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lfWriter) Close() error {
	if !l.cr {
		return nil
	}
	l.cr = false
	_, err := l.w.Write([]byte{'\r'})
	return err
}
