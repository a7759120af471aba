package webhook

import (
	"bytes"
	"compress/gzip"
	"io"

	"github.com/postferry/postferry/sinks/payload"
)

// content is what a request carries. Its octets are the same however often they
// are read. *payload.Body is one.
type content interface {
	io.WriterTo
	Size() int64
	// Open reads it from its beginning. It must be closed.
	Open() io.ReadCloser
}

// compressedInMemory is how much of a compressed body is held; a longer one is
// compressed again each time it is read.
const compressedInMemory = 1 << 20

// compressed is a body as gzip makes it (RFC 1952).
type compressed struct {
	body *payload.Body
	text []byte // all of it; nil where it is too long to be held
	size int64
}

func compress(body *payload.Body) (*compressed, error) {
	c := &compressed{body: body}
	var kept bounded
	n := &counter{w: &kept}
	if err := c.write(n); err != nil {
		return nil, err
	}
	if c.size = n.n; c.size <= compressedInMemory {
		c.text = kept.Bytes()
	}
	return c, nil
}

// write compresses the body. What comes of it depends on the body alone.
func (c *compressed) write(w io.Writer) error {
	z := gzip.NewWriter(w)
	if _, err := c.body.WriteTo(z); err != nil {
		return err
	}
	return z.Close()
}

func (c *compressed) Size() int64 { return c.size }

func (c *compressed) WriteTo(w io.Writer) (int64, error) {
	if c.text != nil {
		n, err := w.Write(c.text)
		return int64(n), err
	}
	n := &counter{w: w}
	err := c.write(n)
	return n.n, err
}

func (c *compressed) Open() io.ReadCloser {
	if c.text != nil {
		return io.NopCloser(bytes.NewReader(c.text))
	}
	// The body is read, not written: a reader of it may outlive its release.
	from := c.body.Open()
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		z := gzip.NewWriter(w)
		_, err := io.Copy(z, from)
		if err == nil {
			err = z.Close()
		}
		_ = w.CloseWithError(err) // it never fails
	}()
	return &deflating{r, from, done}
}

// deflating is the reader of a body too long to be held.
type deflating struct {
	*io.PipeReader
	from io.Closer
	done chan struct{}
}

// Close returns once nothing reads the body any more.
func (d *deflating) Close() error {
	err := d.PipeReader.Close()
	<-d.done
	if closing := d.from.Close(); err == nil {
		err = closing
	}
	return err
}

// bounded keeps what is written up to compressedInMemory octets.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len() <= compressedInMemory {
		b.Buffer.Write(p)
	}
	return len(p), nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
