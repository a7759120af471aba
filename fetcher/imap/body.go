package imap

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/postferry/postferry/internal/failpoint"
)

var errDiffers = errors.New("the server sends other octets each time")

// body reads one mail. It ends in io.EOF only when all octets have come, and,
// where want is set, when they are those that came before.
type body struct {
	r    io.Reader
	left int64
	hash hash.Hash // nil: the octets are not summed
	want *print    // nil: there is nothing to compare with
	err  error     // what reading ended with
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	failpoint.Hit("imap.body.part")
	if b.hash != nil {
		b.hash.Write(p[:n])
	}
	if err == io.EOF {
		switch {
		case b.left != 0:
			err = io.ErrUnexpectedEOF
		case b.want != nil && b.want.sum != b.sum():
			err = errDiffers
		}
	}
	b.err = err
	return n, err
}

func (b *body) sum() (s [sha256.Size]byte) {
	b.hash.Sum(s[:0])
	return s
}
