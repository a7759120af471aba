package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// HeadLimit is how many octets of a header block count for its Head.
const HeadLimit = 64 << 10

// Head is what a mail is recognised by when its server has given it another UID,
// without its body: a hash of its size and its raw header block.
type Head struct {
	UID string
	Sum int64 // of HeadSum
}

// NoHead stands for a head that cannot be had.
const NoHead = -1

// HeadSum hashes a mail's size and the beginning of its octets: the header block
// with or without the empty line that ends it (RFC 5322 section 2.1), or more. It
// is neither 0 nor NoHead. Of the header block, HeadLimit octets count.
func HeadSum(size int64, octets []byte) int64 {
	octets = octets[:min(len(octets), HeadLimit)]
	if end := bytes.Index(octets, []byte("\r\n\r\n")); end >= 0 {
		octets = octets[:end]
	}
	octets = bytes.TrimRight(octets, "\r\n")
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	h.Write(octets)
	sum := int64(binary.BigEndian.Uint64(h.Sum(nil)))
	if sum == 0 || sum == NoHead {
		return 1
	}
	return sum
}

// headOf is the HeadSum of a whole mail; 0 where its octets cannot be read.
func headOf(o *Octets) int64 {
	head := o.Bytes()
	if head == nil {
		head = make([]byte, min(o.Size(), HeadLimit))
		if n, err := o.ReadAt(head, 0); n < len(head) && err != nil {
			return 0
		}
	}
	return HeadSum(o.Size(), head)
}

// Renumbered implements API.
func (s *Spool) Renumbered(ctx context.Context, box BoxKey) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.calls.Done()
	b, err := s.store.Box(ctx, box)
	if err != nil {
		return false, fmt.Errorf("read what is known of %s: %w", box.Box, err)
	}
	return b.Renumbered, nil
}

// Recognise implements API.
func (s *Spool) Recognise(ctx context.Context, box BoxKey, heads []Head) (known []string, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	at := s.now()
	for len(heads) > 0 {
		n := min(len(heads), ledgerPage)
		op := &RecogniseOp{Box: box, At: at, Heads: heads[:n]}
		if err := s.commit(ctx, op, 0, nil); err != nil {
			return nil, fmt.Errorf("recognise mails of %s: %w", box.Box, err)
		}
		known = append(known, op.Known...)
		heads = heads[n:]
	}
	return known, nil
}

// Headless implements API.
func (s *Spool) Headless(ctx context.Context, box BoxKey, limit int) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	uids, err := s.store.Headless(ctx, box, limit)
	if err != nil {
		return nil, fmt.Errorf("read what is known of %s: %w", box.Box, err)
	}
	return uids, nil
}

// Learn implements API.
func (s *Spool) Learn(ctx context.Context, box BoxKey, heads []Head) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	at := s.now()
	for len(heads) > 0 {
		n := min(len(heads), ledgerPage)
		if err := s.commit(ctx, &LedgerOp{Box: box, At: at, Heads: heads[:n]}, 0, nil); err != nil {
			return fmt.Errorf("learn the heads of mails of %s: %w", box.Box, err)
		}
		heads = heads[n:]
	}
	return nil
}
