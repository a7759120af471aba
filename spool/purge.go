package spool

import (
	"context"
	"time"
)

const (
	purgeEvery = 10 * time.Minute
	purgeLimit = 100 // mails erased in one transaction
)

// purgeAll erases, now and again, the octets of mail that was delivered longer
// ago than it is retained.
func (s *Spool) purgeAll() {
	for {
		if err := s.purge(s.root); err != nil && s.root.Err() == nil {
			s.log.Warn("delivered mail not erased", "error", err)
		}
		if s.clock.Sleep(s.root, purgeEvery) != nil {
			return
		}
	}
}

func (s *Spool) purge(ctx context.Context) error {
	for {
		op := &PurgeOp{Before: s.now().Add(-s.retain), Limit: purgeLimit}
		if err := s.commit(ctx, op, 0, nil); err != nil {
			return err
		}
		if op.Erased < purgeLimit {
			return nil
		}
	}
}
