package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	narrow = 256      // octets of the buffer of a connection that waits
	wide   = 32 << 10 // of one that is busy
)

var wideBuffers = sync.Pool{New: func() any { b := make([]byte, wide); return &b }}

// inlet is a buffered reader that needs little memory while nothing comes:
// thousands of connections spend their lives waiting. Its buffer is wide from when
// a read fills the narrow one until it has run dry.
//
// ReadSlice does not read from the connection by itself, so that a session that
// waits keeps few frames on its stack; its caller calls fill.
type inlet struct {
	r       io.Reader
	blocked atomic.Int64 // when the read that waits began (UnixNano), or 0
	waited  atomic.Int64 // nanoseconds spent in reads
	octets  atomic.Int64 // read
	small   [narrow]byte
	big     *[]byte // nil: small is in use
	at, end int     // what is buffered and not read
	looked  int     // octets of it that hold no LF
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
	in.blocked.Store(time.Now().UnixNano())
	n, err := in.r.Read(in.buf()[in.end:])
	in.came(n)
	in.end += n
	in.whole = in.end == len(in.buf())
	in.err = err
}

// came notes the end of a read.
func (in *inlet) came(n int) {
	in.octets.Add(int64(n))
	in.waited.Add(time.Now().UnixNano() - in.blocked.Swap(0))
}

// errMore is ReadSlice's error when fill has to be called.
var errMore = errors.New("more has to be read")

// ReadSlice gives what is buffered up to the next LF; it is valid until the next
// call of a method. The error is errMore where there is none yet, and
// bufio.ErrBufferFull, with what there is, where the buffer is too narrow.
func (in *inlet) ReadSlice() ([]byte, error) {
	have := in.buf()[in.at:in.end]
	i := bytes.IndexByte(have[in.looked:], '\n')
	if i < 0 && in.err == nil && (in.big == nil || len(have) < wide) {
		in.looked = len(have)
		return nil, errMore
	}
	err := in.err
	switch {
	case i >= 0:
		have, err = have[:in.looked+i+1], nil
	case in.big != nil && len(have) == wide:
		err = bufio.ErrBufferFull
	}
	in.at, in.looked = in.at+len(have), 0
	return have, err
}

// Read implements io.Reader. What is larger than the buffer is not copied through
// it.
func (in *inlet) Read(p []byte) (int, error) {
	for in.at == in.end {
		if in.err != nil {
			return 0, in.err
		}
		if len(p) >= wide {
			in.blocked.Store(time.Now().UnixNano())
			n, err := in.r.Read(p)
			in.came(n)
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
