package payload

import (
	"encoding/base64"
	"io"

	"github.com/postferry/postferry/parser"
)

// LazyFrom is the size of an attachment, decoded, from which its base64 text is
// made while the body is sent instead of being held in memory: 1 MiB.
const LazyFrom = 1 << 20

// appendContent appends the attachment's octets as a JSON string in base64 with
// padding (RFC 4648, section 4), or notes where they belong.
func (b *Body) appendContent(a *parser.Attachment) error {
	text := append(*b.text, '"')
	defer func() { *b.text = append(*b.text, '"') }()
	*b.text = text
	if a.Size >= LazyFrom {
		b.streams = append(b.streams, stream{
			at:   len(text),
			size: int64(base64.StdEncoding.EncodedLen(int(a.Size))),
			open: func() (io.ReadCloser, error) { return openBase64(a) },
		})
		return nil
	}
	return a.WriteBase64((*appender)(b.text))
}

// appender is an io.Writer at the end of a slice.
type appender []byte

func (a *appender) Write(p []byte) (int, error) { *a = append(*a, p...); return len(p), nil }

func (a *appender) WriteString(s string) (int, error) { *a = append(*a, s...); return len(s), nil }

// encoder reads what it makes of src: base64 with padding, in one line.
type encoder struct {
	src  io.ReadCloser
	in   [48 << 10]byte // a multiple of 3: padding only at the end
	out  [64 << 10]byte
	text []byte // of out, not read yet
	err  error
}

func openBase64(a *parser.Attachment) (io.ReadCloser, error) {
	src, err := a.Open()
	if err != nil {
		return nil, err
	}
	return &encoder{src: src}, nil
}

func (e *encoder) Read(p []byte) (int, error) {
	for len(e.text) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		n, err := io.ReadFull(e.src, e.in[:])
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		e.err = err
		base64.StdEncoding.Encode(e.out[:], e.in[:n])
		e.text = e.out[:base64.StdEncoding.EncodedLen(n)]
	}
	n := copy(p, e.text)
	e.text = e.text[n:]
	return n, nil
}

func (e *encoder) Close() error { return e.src.Close() }
