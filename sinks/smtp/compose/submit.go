package compose

import (
	"bytes"
	"errors"
	"io"

	"github.com/postferry/postferry/sinks/smtp/submit"
)

// keptWhole is up to how many octets a composed mail is kept in memory while it is
// being sent; a larger one is composed as it goes.
const keptWhole = 256 << 10

// Submit is the mail as it goes to a server that offers so much; a submit.Maker
// for it calls this.
func (m *Mail) Submit(o submit.Offers) (*submit.Mail, error) {
	if err := m.Fits(o); err != nil {
		return nil, err
	}
	w := &measured{}
	if err := m.WriteTo(w, o); err != nil {
		return nil, err
	}
	out := &submit.Mail{
		Envelope: submit.Envelope{From: m.From, To: m.To, EightBit: w.eightBit, UTF8: m.UTF8}, Size: w.size,
		Open: func() (io.ReadCloser, error) { return m.stream(o), nil },
	}
	if kept := w.kept.Bytes(); w.size <= keptWhole {
		out.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(kept)), nil }
	}
	return out, nil
}

// measured looks at what is written, and keeps it while it is small.
type measured struct {
	size     int64
	eightBit bool
	kept     bytes.Buffer
}

// Write implements io.Writer.
func (w *measured) Write(p []byte) (int, error) {
	if w.size += int64(len(p)); w.size <= keptWhole {
		w.kept.Write(p)
	} else {
		w.kept = bytes.Buffer{}
	}
	for _, c := range p {
		w.eightBit = w.eightBit || c >= 0x80
	}
	return len(p), nil
}

// stream composes the mail while it is read.
func (m *Mail) stream(o Offers) io.ReadCloser {
	r, w := io.Pipe()
	s := &stream{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = w.CloseWithError(m.WriteTo(w, o)) // it always returns nil
	}()
	return s
}

var errClosed = errors.New("the mail was closed while it was read")

// stream ends its goroutine with Close.
type stream struct {
	*io.PipeReader
	done chan struct{}
}

// Close implements io.Closer.
func (s *stream) Close() error {
	err := s.CloseWithError(errClosed)
	<-s.done
	return err
}
