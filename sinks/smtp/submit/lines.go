package submit

import "io"

// lineWriter gives what is written to it on with every line ended by CRLF: a CR or
// LF that stands alone becomes one too, since a server that takes it for the end of
// a line could see the end of the mail where nobody put it (RFC 5321 section
// 2.3.8, VU#302671). NUL, which no mail may hold, becomes a question mark.
type lineWriter struct {
	w   io.Writer
	cr  bool // the last octet was CR, whose line end has been written
	out []byte
}

// Write implements io.Writer.
func (l *lineWriter) Write(p []byte) (int, error) {
	l.out = l.out[:0]
	for _, c := range p {
		switch {
		case c == '\n' && l.cr: // of a CRLF
		case c == '\r' || c == '\n':
			l.out = append(l.out, "\r\n"...)
		case c == 0:
			l.out = append(l.out, '?')
		default:
			l.out = append(l.out, c)
		}
		l.cr = c == '\r'
	}
	if _, err := l.w.Write(l.out); err != nil {
		return 0, err
	}
	return len(p), nil
}
