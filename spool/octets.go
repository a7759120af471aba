package spool

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
)

// InRow is the largest mail, in octets, that is kept in memory and in the
// store's own table; a larger one is a file beside the store.
const InRow = 256 << 10

var errOctetsClosed = errors.New("the octets were read after they were closed")

// File is a large mail outside memory: a staged or a stored file. Close of a
// staged file removes it, unless the store has adopted it.
type File interface {
	io.ReaderAt
	io.Closer
}

// Octets is a mail as the server held it, in memory or in a file. It may be read
// by several goroutines at once.
type Octets struct {
	sum  [32]byte
	size int64

	mu   sync.RWMutex
	mem  []byte
	file File
	done bool
}

// NewOctets returns octets in memory. They are not copied.
func NewOctets(b []byte) *Octets {
	return &Octets{sum: sha256.Sum256(b), size: int64(len(b)), mem: b}
}

// StoredOctets returns octets a Store has read back: b, or f where f is not nil.
func StoredOctets(size int64, sum [32]byte, b []byte, f File) *Octets {
	return &Octets{sum: sum, size: size, mem: b, file: f}
}

// Size is their number.
func (o *Octets) Size() int64 { return o.size }

// SHA256 is their hash.
func (o *Octets) SHA256() [32]byte { return o.sum }

// ReadAt implements io.ReaderAt.
func (o *Octets) ReadAt(p []byte, off int64) (int, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	switch {
	case o.done:
		return 0, errOctetsClosed
	case o.file != nil:
		return o.file.ReadAt(p, off)
	}
	return bytes.NewReader(o.mem).ReadAt(p, off)
}

// Reader reads them from the first to the last.
func (o *Octets) Reader() io.Reader { return io.NewSectionReader(o, 0, o.size) }

// Close lets go of them: staged octets that were not given to Take are gone.
// It may be called more than once.
func (o *Octets) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return nil
	}
	o.done, o.mem = true, nil
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// Bytes are the octets where they are in memory; nil where they are in a file.
// For stores; they must not be changed.
func (o *Octets) Bytes() []byte {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.mem
}

// File is the file that holds them; nil where they are in memory. For stores.
func (o *Octets) File() File {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.file
}
