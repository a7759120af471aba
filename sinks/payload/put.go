package payload

import (
	"fmt"
	"io"

	"github.com/postferry/postferry/parser"
)

// put puts what write writes at the end of the body: at once if it is less than
// LazyFrom octets, else while the body is sent. size is exact; where it is not
// known, it is negative and found by writing once for nobody.
func (b *Body) put(size int64, write func(io.Writer) error) error {
	if size < 0 {
		count := counter{w: io.Discard}
		if err := write(&count); err != nil {
			return err
		}
		size = count.n
	}
	if size < LazyFrom {
		return write((*appender)(b.text))
	}
	b.streams = append(b.streams, stream{at: len(*b.text), size: size, write: write})
	return nil
}

// putFile puts the attachment's octets, decoded.
func (b *Body) putFile(a *parser.Attachment) error {
	return readError(a, b.put(a.Size, func(w io.Writer) error {
		r, err := a.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(w, struct{ io.Reader }{r})
		return err
	}))
}

// readError says which attachment could not be read; nil for nil.
func readError(a *parser.Attachment, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading attachment %s of the mail: %w", a.PartID, err)
}
