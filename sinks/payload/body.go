package payload

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Body is a rendered mail. Its octets are the same however often they are read.
// It is used by one goroutine at a time; the readers of Open may be used, and
// closed, by others. It is dead after Release, and its memory is used again once
// the readers are closed too: http.Transport goes on reading a request's body
// after the answer has come, and says by Close when it no longer does.
type Body struct {
	ContentType string
	Header      http.Header // further fields for transports that have them; nil for most formats

	text     *[]byte // pooled; everything but the streams
	streams  []stream
	holders  atomic.Int32 // who may still read text
	released bool
}

// stream is a part of a body that stays in its source: it stands at octet at of
// the text, and write writes it, the same however often it is called.
type stream struct {
	at    int
	size  int64
	write func(io.Writer) error
}

// open reads what write writes, which then runs beside the reader until it is at
// its end or closed.
func (s stream) open() io.ReadCloser {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.CloseWithError(s.write(w)) // it never fails
	}()
	return &piped{PipeReader: r, done: done}
}

// piped is the reader of a stream.
type piped struct {
	*io.PipeReader
	done chan struct{}
}

// Close returns once nothing reads the source any more.
func (p *piped) Close() error {
	err := p.PipeReader.Close()
	<-p.done
	return err
}

// keep is the largest buffer that goes back to the pool, in octets.
const keep = 2 << 20

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

func newBody(contentType string) *Body {
	b := &Body{ContentType: contentType, text: buffers.Get().(*[]byte)}
	*b.text = (*b.text)[:0]
	b.holders.Store(1)
	return b
}

// Release gives the body up. What Bytes gave must not be used any more. It may
// be called twice.
func (b *Body) Release() {
	if !b.released {
		b.released = true
		b.leave()
	}
}

func (b *Body) leave() {
	if b.holders.Add(-1) == 0 && cap(*b.text) <= keep {
		buffers.Put(b.text)
	}
}

// Size is the length of the body in octets.
func (b *Body) Size() int64 {
	n := int64(len(*b.text))
	for _, s := range b.streams {
		n += s.size
	}
	return n
}

// Bytes is the whole body, when it is held in memory; otherwise it is read with
// Open or WriteTo. Valid until Release.
func (b *Body) Bytes() (octets []byte, ok bool) {
	return *b.text, len(b.streams) == 0
}

// ReadAll is the whole body in memory, at whatever cost. Valid until Release.
func (b *Body) ReadAll() ([]byte, error) {
	if octets, ok := b.Bytes(); ok {
		return octets, nil
	}
	all := bytes.NewBuffer(make([]byte, 0, b.Size()))
	_, err := b.WriteTo(all)
	return all.Bytes(), err
}

// WriteTo implements io.WriterTo; it may be called again and writes the same.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	if octets, ok := b.Bytes(); ok {
		n, err := w.Write(octets)
		return int64(n), err
	}
	to, at := &counter{w: w}, 0
	for _, part := range b.streams {
		if _, err := to.Write((*b.text)[at:part.at]); err != nil {
			return to.n, err
		}
		before := to.n
		if err := part.write(to); err != nil {
			return to.n, err
		}
		if to.n-before != part.size {
			return to.n, errLength
		}
		at = part.at
	}
	_, err := to.Write((*b.text)[at:])
	return to.n, err
}

// Open reads the body from its beginning. It must be closed.
func (b *Body) Open() io.ReadCloser {
	b.holders.Add(1)
	return &reader{body: b}
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
