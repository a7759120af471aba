package spool

import (
	"context"
	"fmt"
	"time"
)

const (
	forgetAfter = 30 * 24 * time.Hour
	ledgerPage  = 1000 // rows read, and UIDs written, at a time
)

// Cursor implements API.
func (s *Spool) Cursor(ctx context.Context, box BoxKey) (string, error) {
	if err := s.enter(ctx); err != nil {
		return "", err
	}
	defer s.calls.Done()
	b, err := s.store.Box(ctx, box)
	if err != nil {
		return "", fmt.Errorf("read the cursor of %s: %w", box.Box, err)
	}
	return b.Cursor, nil
}

// Skip implements API.
func (s *Spool) Skip(ctx context.Context, box BoxKey, uids []string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	at := s.now()
	for len(uids) > ledgerPage {
		if err := s.skip(ctx, &LedgerOp{Box: box, At: at, Skip: uids[:ledgerPage]}); err != nil {
			return err
		}
		uids = uids[ledgerPage:]
	}
	return s.skip(ctx, &LedgerOp{Box: box, At: at, Skip: uids, Baseline: true})
}

func (s *Spool) skip(ctx context.Context, op *LedgerOp) error {
	if err := s.commit(ctx, op, 0, nil); err != nil {
		return fmt.Errorf("skip mails of %s: %w", op.Box.Box, err)
	}
	return nil
}

// Bind implements API.
func (s *Spool) Bind(ctx context.Context, mailbox string, box BoxKey) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := s.commit(ctx, &BindOp{Mailbox: mailbox, Box: box}, 0, nil); err != nil {
		return fmt.Errorf("bind %s to mailbox %s: %w", box.Box, mailbox, err)
	}
	return nil
}

// Listed implements API.
func (s *Spool) Listed(ctx context.Context, mailbox string, err error) {
	if s.enter(ctx) != nil {
		return
	}
	defer s.calls.Done()
	op := &ListedOp{Mailbox: mailbox, At: s.now()}
	if err != nil {
		op.Error = err.Error()
	}
	if err := s.commit(ctx, op, 0, nil); err != nil {
		s.log.Warn("listing not noted", "mailbox", mailbox, "error", err)
	}
}

// Reconcile implements API.
func (s *Spool) Reconcile(ctx context.Context, box BoxKey, uids []string, complete bool, cursor string) (fresh []string, first bool, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, false, err
	}
	defer s.calls.Done()
	b, err := s.store.Box(ctx, box)
	if err == nil {
		fresh, err = s.reconcile(ctx, box, newMerge(uids, s.now(), complete), cursor, b.Cursor)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reconcile the listing of %s: %w", box.Box, err)
	}
	return fresh, !b.Baseline, nil
}
