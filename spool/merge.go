package spool

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"time"
)

// reconcile merges a listing with the ledger, and stores the cursor if it is
// another than before.
func (s *Spool) reconcile(ctx context.Context, box BoxKey, m *merge, cursor, was string) ([]string, error) {
	o := s.outlineOf(box)
	o.merging.Lock()
	defer o.merging.Unlock()
	runs, op, err := s.mergeRuns(ctx, box, m, s.begin(o))
	if err == nil {
		if cursor != was {
			op.Cursor = &cursor
		}
		err = s.change(ctx, op)
	}
	if err != nil {
		runs = nil
	}
	s.done(box, o, runs)
	return m.fresh(), err
}

// mergeRuns reads the runs that the listing differs from. op is the last of the
// changes, which is left to the caller.
func (s *Spool) mergeRuns(ctx context.Context, box BoxKey, m *merge, was []run) (runs []run, op *LedgerOp, err error) {
	differ := m.compare(s.seed, was)
	reset, err := s.renumbered(ctx, box, m)
	if err != nil {
		return nil, nil, err
	}
	op = &LedgerOp{Box: box, At: m.now, Reset: reset}
	after := ""
	for i := 0; i < len(was); i++ {
		if !differ[i] {
			runs = join(runs, was[i])
			after = was[i].end
			continue
		}
		for i+1 < len(was) && differ[i+1] {
			i++
		}
		end := was[i].end
		for more := true; more; {
			rows, err := s.store.Ledger(ctx, box, after, ledgerPage)
			if err != nil {
				return nil, nil, err
			}
			if err := s.change(ctx, op); err != nil {
				return nil, nil, err
			}
			op = &LedgerOp{Box: box, At: m.now, Reset: reset}
			more = len(rows) == ledgerPage
			for n, row := range rows {
				if end != "" && row.UID > end {
					rows, more = rows[:n], false
					break
				}
				m.row(row, op)
			}
			for piece := range slices.Chunk(rows, runRows) {
				r := run{}
				for _, row := range piece {
					r.learn(s.seed, row)
				}
				runs = join(runs, r)
				after = r.end
			}
		}
		if len(runs) == 0 {
			runs = append(runs, run{})
		}
		runs[len(runs)-1].end = end // nothing is between
		after = end
	}
	return runs, op, nil
}

// renumbered tells whether a complete listing has none of the UIDs that are known
// and here. It is known before anything is marked as gone, so that a crash in
// between leaves nothing gone that was only renumbered.
func (s *Spool) renumbered(ctx context.Context, box BoxKey, m *merge) (bool, error) {
	if !m.lacks || m.present > 0 || len(m.uids) == 0 {
		return false, nil
	}
	probe := &merge{uids: m.uids, order: slices.Clone(m.order), now: m.now, lacks: true}
	for after, more := "", true; more; {
		rows, err := s.store.Ledger(ctx, box, after, ledgerPage)
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			probe.row(row, &LedgerOp{})
			after = row.UID
		}
		if probe.present > 0 {
			return false, nil
		}
		more = len(rows) == ledgerPage
	}
	return probe.missing > 0 && !probe.sameValidity(), nil
}

// change commits what has changed, if anything has.
func (s *Spool) change(ctx context.Context, op *LedgerOp) error {
	if op.Cursor == nil && len(op.Back)+len(op.Gone)+len(op.Forget) == 0 {
		return nil
	}
	return s.commit(ctx, op, 0, nil)
}

// merge compares a listing with the ledger, in the order of the UIDs, a page at
// a time, and leaves out the runs that are known to be the same.
type merge struct {
	uids    []string
	order   []int32 // of those in runs that are read: indices, sorted; those known are set to -1
	at      int     // how far in order
	now     time.Time
	lacks   bool   // the listing is complete: what it lacks is gone
	present int    // listed and known
	missing int    // lacked since now
	lacked  string // one of those
}

func newMerge(uids []string, now time.Time, complete bool) *merge {
	return &merge{uids: uids, now: now, lacks: complete}
}

// compare tells which runs have to be read, and puts what is listed of them in
// order.
func (m *merge) compare(seed maphash.Seed, runs []run) (differ []bool) {
	listed, at := make([]sum, len(runs)), 0
	for _, uid := range m.uids {
		at = find(runs, uid, at)
		listed[at].add(seed, uid)
	}
	differ = make([]bool, len(runs))
	n := 0
	for i, r := range runs {
		same := !r.stale && listed[i] == r.here
		if m.lacks {
			differ[i] = !same || !r.next.IsZero() && !r.next.After(m.now)
		} else {
			differ[i] = !same && listed[i].n > 0
		}
		if differ[i] {
			n += listed[i].n
		} else {
			m.present += listed[i].n
		}
	}
	m.order, at = make([]int32, 0, n), 0
	for i := 0; i < len(m.uids) && len(m.order) < n; i++ {
		if at = find(runs, m.uids[i], at); differ[at] {
			m.order = append(m.order, int32(i))
		}
	}
	slices.SortFunc(m.order, func(a, b int32) int {
		if c := strings.Compare(m.uids[a], m.uids[b]); c != 0 {
			return c
		}
		return int(a - b)
	})
	return differ
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
