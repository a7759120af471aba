package spool

import (
	"context"
	"time"
)

const (
	purgeEvery = 10 * time.Minute
	purgeLimit = 100 // mails erased in one transaction
)

// purgeAll erases the octets of delivered mail: now and again of what was
// delivered longer ago than it is retained, and of the oldest, before its time,
// as soon as the quota is passed.
func (s *Spool) purgeAll() {
	for {
		s.mu.Lock()
		pressed := s.pressed.add()
		s.mu.Unlock()
		err := s.purge(s.root, s.now().Add(-s.retain), func() bool { return true })
		if err == nil {
			err = s.purge(s.root, s.now().Add(1), s.over)
		}
		if err != nil && s.root.Err() == nil {
			s.log.Warn("delivered mail not erased", "error", err)
		}
		s.mu.Lock()
		err = s.waitFor(s.root, &s.pressed, pressed, s.now().Add(purgeEvery))
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// purge erases what was delivered before then, the oldest first, while it may.
func (s *Spool) purge(ctx context.Context, before time.Time, may func() bool) error {
	for may() {
		op := &PurgeOp{Before: before, Limit: purgeLimit}
		if err := s.commit(ctx, op, 0, nil); err != nil {
			return err
		}
		if op.Erased < purgeLimit {
			return nil
		}
	}
	return nil
}
