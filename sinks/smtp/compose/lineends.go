package compose

import "io"

// lineEnds writes lines that end in CRLF whatever ended them, and leaves NUL out
// (RFC 5322, section 4: neither has a place in a mail; RFC 5321, section 2.3.8: a
// CR or LF alone is not sent).
type lineEnds struct {
	w    io.Writer
	buf  []byte
	cr   bool // the last octet was CR; its line end has been written
	open bool // the last line has not ended
}

// Write implements io.Writer.
func (l *lineEnds) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for _, c := range p {
		switch {
		case c == '\n' && l.cr:
		case c == '\r' || c == '\n':
			l.buf = append(l.buf, '\r', '\n')
			l.open = false
		case c == 0:
			continue
		default:
			l.buf = append(l.buf, c)
			l.open = true
		}
		l.cr = c == '\r'
	}
	if _, err := l.w.Write(l.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// close ends the last line.
func (l *lineEnds) close() error {
	if !l.open {
		return nil
	}
	_, err := l.Write([]byte("\r\n"))
	return err
}
