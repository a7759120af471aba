package imap

import (
	"bufio"
	"bytes"
	"io"
	"sync"
)

const (
	narrow = 256      // octets of the buffer of a connection that waits
	wide   = 32 << 10 // of one that is busy
)

var wideBuffers = sync.Pool{New: func() any { b := make([]byte, wide); return &b }}

// inlet is a buffered reader that needs little memory while nothing comes:
// thousands of connections spend their lives waiting. Its buffer is wide from when
// a read fills the narrow one until it has run dry.
type inlet struct {
	r       io.Reader
	small   [narrow]byte
	big     *[]byte // nil: small is in use
	at, end int     // what is buffered and not read
	whole   bool    // the last read filled the buffer, so there is probably more
	err     error   // the end, for when the buffer is empty
}

func (in *inlet) buf() []byte {
	if in.big != nil {
		return *in.big
	}
	return in.small[:]
}

// fill reads once, after what is buffered.
func (in *inlet) fill() {
	if in.at > 0 {
		copy(in.buf(), in.buf()[in.at:in.end])
		in.at, in.end = 0, in.end-in.at
	}
	switch {
	case in.big == nil && in.whole:
		in.big = wideBuffers.Get().(*[]byte)
		copy(*in.big, in.small[:in.end])
	case in.big != nil && in.end == 0 && !in.whole:
		wideBuffers.Put(in.big)
		in.big = nil
	}
	n, err := in.r.Read(in.buf()[in.end:])
	in.end += n
	in.whole = in.end == len(in.buf())
	in.err = err
}

// ReadSlice reads to the next LF. The slice is valid until the next call. Where
// the buffer is too narrow, the error is bufio.ErrBufferFull.
func (in *inlet) ReadSlice() ([]byte, error) {
	for from := 0; ; {
		if i := bytes.IndexByte(in.buf()[in.at+from:in.end], '\n'); i >= 0 {
			line := in.buf()[in.at : in.at+from+i+1]
			in.at += len(line)
			return line, nil
		}
		from = in.end - in.at
		full := in.big != nil && from == wide
		if in.err != nil || full {
			line := in.buf()[in.at:in.end]
			in.at = in.end
			if full {
				return line, bufio.ErrBufferFull
			}
			return line, in.err
		}
		in.fill()
	}
}

// Read implements io.Reader. What is larger than the buffer is not copied through
// it.
func (in *inlet) Read(p []byte) (int, error) {
	for in.at == in.end {
		if in.err != nil {
			return 0, in.err
		}
		if len(p) >= wide {
			n, err := in.r.Read(p)
			in.whole, in.err = true, err
			if n > 0 {
				return n, nil
			}
			continue
		}
		in.fill()
	}
	n := copy(p, in.buf()[in.at:in.end])
	in.at += n
	return n, nil
}

// discard reads past n octets.
func (in *inlet) discard(n int64) error {
	for n > 0 {
		if in.at == in.end {
			if in.err != nil {
				return in.err
			}
			in.fill()
		}
		skip := min(n, int64(in.end-in.at))
		in.at += int(skip)
		n -= skip
	}
	return nil
}
