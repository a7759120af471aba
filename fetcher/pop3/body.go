package pop3

import (
	"bufio"
	"errors"
	"io"

	"github.com/postferry/postferry/internal/failpoint"
)

// errTooLarge ends a mail that is larger than it may be.
var errTooLarge = errors.New("the mail is larger than can be taken")

// body reads the multi-line reply to RETR (RFC 1939 section 3): every octet as it
// was sent, without byte-stuffing. It ends at CRLF "." CRLF alone; a line feed
// without a carriage return begins no line. A connection that ends before is an
// error. Errors are sticky; io.EOF says that the mail is whole.
type body struct {
	r     *bufio.Reader
	left  int64 // octets it may still have
	start bool  // at the beginning of a line
	cr    bool  // the last octet was a carriage return
	err   error
	after func() error // checks what follows the end; may be nil
}

func newBody(r *bufio.Reader, limit int64, after func() error) *body {
	return &body{r: r, left: limit, start: true, after: after}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && b.err == nil {
		if n > 0 && b.r.Buffered() == 0 {
			break
		}
		if b.start {
			b.err = b.begin()
			continue
		}
		n += b.copy(p[n:])
	}
	if n > 0 {
		failpoint.Hit("pop3.body.part")
		return n, nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, b.err
}

// begin looks at the beginning of a line: a lone "." is the end, and any other
// first "." is stuffing.
func (b *body) begin() error {
	b.start = false
	first, err := b.r.Peek(1)
	if err != nil {
		return cut(err)
	}
	if first[0] != '.' {
		return nil
	}
	b.r.Discard(1)
	b.cr = false
	next, err := b.r.Peek(1)
	if err != nil {
		return cut(err)
	}
	if next[0] != '\r' {
		return nil
	}
	end, err := b.r.Peek(2)
	if err != nil {
		return cut(err)
	}
	if end[1] != '\n' {
		return nil
	}
	b.r.Discard(2)
	if b.after != nil {
		if err := b.after(); err != nil {
			return err
		}
	}
	return io.EOF
}

// copy moves octets up to the end of a line, as far as they are there.
func (b *body) copy(p []byte) int {
	if b.r.Buffered() == 0 {
		if _, err := b.r.Peek(1); err != nil {
			b.err = cut(err)
			return 0
		}
	}
	src, _ := b.r.Peek(min(b.r.Buffered(), len(p)))
	n := b.line(src)
	if int64(n) > b.left {
		b.err = errTooLarge
		return 0
	}
	b.left -= int64(n)
	copy(p, src[:n])
	b.r.Discard(n)
	return n
}

// line is how much of src belongs to lines that do not begin with ".".
func (b *body) line(src []byte) int {
	for i, c := range src {
		if c == '\n' && b.cr {
			b.cr = false
			if i+1 < len(src) && src[i+1] != '.' {
				continue // the next line needs no look
			}
			b.start = true
			return i + 1
		}
		b.cr = c == '\r'
	}
	return len(src)
}

// cut says that an end is not the end.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
