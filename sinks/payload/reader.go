package payload

import (
	"errors"
	"io"
	"sync"
)

var errLength = errors.New("a part of the mail has another length than when it was parsed")

// reader walks over the text and the streams of a Body. A Read never touches
// the text once Close has returned, whichever goroutine called it.
type reader struct {
	mu     sync.Mutex
	body   *Body // nil once closed
	at     int   // in the text
	next   int   // the stream after the one being read
	stream io.ReadCloser
	left   int64 // of stream
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return 0, errors.New("reading a closed body")
	}
	for len(p) > 0 {
		if r.stream != nil {
			n, err := r.readStream(p)
			if n > 0 || err != nil {
				return n, err
			}
			continue
		}
		text, streams := *r.body.text, r.body.streams
		end := len(text)
		if r.next < len(streams) {
			end = streams[r.next].at
		}
		if r.at < end {
			n := copy(p, text[r.at:end])
			r.at += n
			return n, nil
		}
		if r.next == len(streams) {
			return 0, io.EOF
		}
		r.stream, r.left, r.next = streams[r.next].open(), streams[r.next].size, r.next+1
	}
	return 0, nil
}

// readStream reads from the open stream and holds it to its announced size; it
// closes it at its end.
func (r *reader) readStream(p []byte) (int, error) {
	n, err := r.stream.Read(p)
	if r.left -= int64(n); r.left < 0 {
		return 0, errLength
	}
	if err != io.EOF {
		return n, err
	}
	if r.left > 0 {
		return n, errLength
	}
	err = r.stream.Close()
	r.stream = nil
	return n, err
}

// Close implements io.Closer; it may be called twice.
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	var err error
	if r.stream != nil {
		err = r.stream.Close()
	}
	body.leave()
	return err
}
