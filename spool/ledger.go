package spool

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
		fresh, err = s.reconcile(ctx, box, uids, complete, cursor, b.Cursor)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reconcile the listing of %s: %w", box.Box, err)
	}
	return fresh, !b.Baseline, nil
}

// merge compares a sorted listing with the ledger, a page at a time.
type merge struct {
	uids    []string
	order   []int32 // indices of uids, sorted; those known are set to -1
	at      int     // how far in order
	now     time.Time
	lacks   bool   // the listing is complete: what it lacks is gone
	present int    // listed and known
	missing int    // lacked since now
	lacked  string // one of those
}

// sameValidity tells that listing and ledger have one UIDVALIDITY, so that the
// UIDs the listing lacks were not renumbered (RFC 9051, section 2.3.1.1).
// Unique-ids have none.
func (m *merge) sameValidity() bool {
	was, ok := validity(m.lacked)
	is, also := validity(m.uids[0])
	return ok && also && was == is
}

// validity splits "UIDVALIDITY/UID".
func validity(uid string) (string, bool) {
	v, n, ok := strings.Cut(uid, "/")
	return v, ok && isNumber(v) && isNumber(n)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (s *Spool) reconcile(ctx context.Context, box BoxKey, uids []string, complete bool, cursor, was string) ([]string, error) {
	m := newMerge(uids, s.now(), complete)
	for after := ""; ; {
		rows, err := s.store.Ledger(ctx, box, after, ledgerPage)
		if err != nil {
			return nil, err
		}
		op := &LedgerOp{Box: box, At: m.now}
		for _, row := range rows {
			m.row(row, op)
		}
		last := len(rows) < ledgerPage
		if last {
			if cursor != was {
				op.Cursor = &cursor
			}
			op.Reset = m.present == 0 && m.missing > 0 && len(uids) > 0 && !m.sameValidity()
		} else {
			after = rows[len(rows)-1].UID
		}
		if op.Cursor != nil || op.Reset || len(op.Back)+len(op.Gone)+len(op.Forget) > 0 {
			if err := s.commit(ctx, op, 0, nil); err != nil {
				return nil, err
			}
		}
		if last {
			return m.fresh(), nil
		}
	}
}

func newMerge(uids []string, now time.Time, complete bool) *merge {
	m := &merge{uids: uids, order: make([]int32, len(uids)), now: now, lacks: complete}
	for i := range m.order {
		m.order[i] = int32(i)
	}
	slices.SortFunc(m.order, func(a, b int32) int {
		switch {
		case uids[a] < uids[b]:
			return -1
		case uids[a] > uids[b]:
			return 1
		}
		return int(a - b)
	})
	return m
}

// row takes the next row of the ledger and says in op what changes with it.
func (m *merge) row(k Known, op *LedgerOp) {
	for m.at < len(m.order) && m.uids[m.order[m.at]] < k.UID {
		m.at++
	}
	listed := false
	for m.at < len(m.order) && m.uids[m.order[m.at]] == k.UID {
		listed = true
		m.order[m.at] = -1
		m.at++
	}
	switch {
	case listed:
		m.present++
		if !k.Gone.IsZero() {
			op.Back = append(op.Back, k.UID)
		}
	case !m.lacks:
	case k.Gone.IsZero():
		m.missing++
		m.lacked = k.UID
		op.Gone = append(op.Gone, k.UID)
	case m.now.Sub(k.Gone) >= forgetAfter:
		op.Forget = append(op.Forget, k.UID)
	}
}

// fresh are the UIDs no row was seen for, in the listing's order, each once.
func (m *merge) fresh() []string {
	var left []int32
	for _, i := range m.order {
		if i < 0 || len(left) > 0 && m.uids[left[len(left)-1]] == m.uids[i] {
			continue
		}
		left = append(left, i)
	}
	slices.Sort(left)
	var uids []string
	for _, i := range left {
		uids = append(uids, m.uids[i])
	}
	return uids
}
