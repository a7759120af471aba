package parser

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// windowSize is how much of a mail is in memory at once. Most mails fit whole.
const windowSize = 256 << 10

// windows lends the buffers, so that a mail costs none of its own.
var windows = sync.Pool{New: func() any { return &window{octets: make([]byte, windowSize), hash: sha256.New()} }}

type window struct {
	octets []byte
	text   []byte // for the header being read
	spans  []fieldSpan
	fields []field // of all headers of the mail
	body   []byte  // for a part that is decoded as a whole
	lines  []byte  // for its text with the line ends changed
	chunk  []byte  // for an attachment that passes through
	hash   hash.Hash
}

// keptBuffer is how large a buffer may be that is kept for the next mail.
const keptBuffer = 512 << 10

// source shows the octets of a mail through a window that moves over them.
type source struct {
	r    io.ReaderAt
	size int64
	off  int64  // where the window begins
	buf  []byte // what the window shows
	lent *window
	err  error // the first error of r
}

func newSource(r io.ReaderAt, size int64) *source {
	lent := windows.Get().(*window)
	return &source{r: r, size: size, lent: lent}
}

// release gives the window back; nothing returned by at may be used after it.
func (s *source) release() {
	if s.lent != nil {
		for _, b := range [...]*[]byte{&s.lent.text, &s.lent.body, &s.lent.lines, &s.lent.chunk} {
			if cap(*b) > keptBuffer {
				*b = nil
			}
		}
		clear(s.lent.fields)
		s.lent.fields = s.lent.fields[:0]
		if cap(s.lent.fields) > 2000 {
			s.lent.fields = nil
		}
		windows.Put(s.lent)
		s.lent, s.buf = nil, nil
	}
}

// at returns octets from off on: at least want of them, fewer only where the
// mail ends. They are good until the next call.
func (s *source) at(off int64, want int) []byte {
	if off >= s.size || off < 0 {
		return nil
	}
	end := s.off + int64(len(s.buf))
	need := min(off+int64(want), s.size)
	if off >= s.off && need <= end {
		return s.buf[off-s.off:]
	}
	into := s.lent.octets
	if want > len(into) {
		into = make([]byte, want)
	}
	if rest := s.size - off; rest < int64(len(into)) {
		into = into[:rest]
	}
	n, err := readFullAt(s.r, into, off)
	s.off, s.buf = off, into[:n]
	if n < len(into) {
		if err != nil && !errors.Is(err, io.EOF) && s.err == nil {
			s.err = fmt.Errorf("read mail at octet %d: %w", off+int64(n), err)
		}
		s.size = off + int64(n)
	}
	return s.buf
}

// readFullAt fills b from r, whatever the size of r's pieces.
func readFullAt(r io.ReaderAt, b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		m, err := r.ReadAt(b[n:], off+int64(n))
		if m < 0 || m > len(b)-n {
			return n, errors.New("invalid count from ReadAt")
		}
		n += m
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
