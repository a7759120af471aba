package spool

import (
	"context"
	"fmt"
	"time"
)

const settlementsLimit = 1000

// Settlements implements API.
func (s *Spool) Settlements(ctx context.Context, mailbox string) ([]Settlement, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	due, err := s.store.Settlements(ctx, mailbox, s.now(), settlementsLimit)
	if err != nil {
		return nil, fmt.Errorf("read the settlements of %s: %w", mailbox, err)
	}
	return due, nil
}

// Settled implements API.
func (s *Spool) Settled(ctx context.Context, ids []int64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if len(ids) == 0 {
		return nil
	}
	if err := s.commit(ctx, &SettledOp{IDs: ids, At: s.now()}, 0, nil); err != nil {
		return fmt.Errorf("record settlements: %w", err)
	}
	return nil
}

// Declined implements API.
func (s *Spool) Declined(ctx context.Context, declined []Decline) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if len(declined) == 0 {
		return nil
	}
	if err := s.commit(ctx, &DeclinedOp{Declined: declined}, 0, nil); err != nil {
		return fmt.Errorf("put declined settlements back: %w", err)
	}
	return nil
}

// owe tells those that wait for the mailbox's settlements of new ones. Needs mu.
func (s *Spool) owe(d Due) {
	if w := s.settled[d.Mailbox]; w != nil && !d.At.IsZero() {
		w.wakeAll()
	}
}

// WaitSettlements implements API.
func (s *Spool) WaitSettlements(ctx context.Context, mailbox string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.settled[mailbox]
	if w == nil {
		w = &waiters{}
		s.settled[mailbox] = w
	}
	for {
		woken := w.add()
		at, err := s.nextSettlement(ctx, mailbox)
		if err != nil || !at.IsZero() && !at.After(s.now()) {
			w.remove(woken)
			return err
		}
		if err := s.waitFor(ctx, w, woken, at); err != nil {
			return err
		}
	}
}

// nextSettlement needs mu, which is given up while the store is asked.
func (s *Spool) nextSettlement(ctx context.Context, mailbox string) (time.Time, error) {
	s.mu.Unlock()
	defer s.mu.Lock()
	at, err := s.store.NextSettlement(ctx, mailbox)
	if err != nil {
		return zero, fmt.Errorf("read the settlements of %s: %w", mailbox, err)
	}
	return at, nil
}
