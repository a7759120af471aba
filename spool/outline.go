package spool

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"
)

// runRows is how many rows of a ledger are summed up together.
const runRows = 500

// outline is what the front remembers of a box's ledger: a sum of each run of
// its rows, not the rows. Where a listing has the same sum, the rows need not be
// read to know that nothing has changed. It is lost with the process, and a box
// without one is read in full.
type outline struct {
	merging sync.Mutex // one Reconcile of the box

	// Needs Spool.mu.
	runs    []run
	reading bool
	touched []string // UIDs whose rows changed while reading
}

// run is consecutive rows, in the order of their UIDs.
type run struct {
	end   string // the last UID that belongs to it; "" for the last run, which has no end
	rows  int
	here  sum       // of the UIDs that no listing has lacked
	next  time.Time // when the first of the others may be forgotten; zero where there are none
	stale bool      // rows have changed
}

// sum of UIDs is the same in whatever order they come.
type sum struct {
	n    int
	hash uint64
}

func (s *sum) add(seed maphash.Seed, uid string) {
	s.n++
	s.hash += maphash.String(seed, uid)
}

// find is the run a UID belongs to. was, the one found before, is tried first:
// neighbours in a listing are often neighbours here.
func find(runs []run, uid string, was int) int {
	if (was == 0 || runs[was-1].end < uid) && runs[was].reaches(uid) {
		return was
	}
	i, _ := slices.BinarySearchFunc(runs, uid, func(r run, uid string) int {
		if r.reaches(uid) {
			return 1
		}
		return -1
	})
	return i
}

func (r *run) reaches(uid string) bool { return r.end == "" || uid <= r.end }

// learn takes a row into the run.
func (r *run) learn(seed maphash.Seed, k Known) {
	r.rows++
	r.end = k.UID
	if k.Gone.IsZero() {
		r.here.add(seed, k.UID)
		return
	}
	if at := k.Gone.Add(forgetAfter); r.next.IsZero() || at.Before(r.next) {
		r.next = at
	}
}

// join appends a run, to the one before it where both are small.
func join(runs []run, r run) []run {
	n := len(runs) - 1
	if n < 0 || runs[n].rows+r.rows > runRows {
		return append(runs, r)
	}
	p := &runs[n]
	if p.next.IsZero() || !r.next.IsZero() && r.next.Before(p.next) {
		p.next = r.next
	}
	p.end, p.rows, p.stale = r.end, p.rows+r.rows, p.stale || r.stale
	p.here.n, p.here.hash = p.here.n+r.here.n, p.here.hash+r.here.hash
	return runs
}

// outlineOf finds the box's outline, or makes one that says nothing.
func (s *Spool) outlineOf(box BoxKey) *outline {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outlines[box]
	if o == nil {
		o = &outline{runs: []run{{stale: true}}}
		s.outlines[box] = o
	}
	return o
}

// begin starts a reading of the ledger along its runs.
func (s *Spool) begin(o *outline) []run {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.reading, o.touched = true, nil
	return slices.Clone(o.runs)
}

// done ends the reading with what was found; nil where it failed.
func (s *Spool) done(box BoxKey, o *outline, runs []run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.reading = false
	if runs == nil {
		s.lose(box, o)
		return
	}
	o.runs = runs
	o.touch(o.touched)
	o.touched = nil
}

// lose makes the box be read in full the next time. Needs mu.
func (s *Spool) lose(box BoxKey, o *outline) {
	if s.outlines[box] == o {
		delete(s.outlines, box)
	}
}

// touch marks the runs of the UIDs. Needs Spool.mu.
func (o *outline) touch(uids []string) {
	at := 0
	for _, uid := range uids {
		at = find(o.runs, uid, at)
		o.runs[at].stale = true
	}
}

// touch tells the box's outline of rows that have changed. Needs mu.
func (s *Spool) touch(box BoxKey, uids ...string) {
	o := s.outlines[box]
	switch {
	case o == nil:
		return
	case o.reading && len(o.touched)+len(uids) > ledgerPage:
		s.lose(box, o)
		return
	case o.reading:
		for _, uid := range uids {
			o.touched = append(o.touched, strings.Clone(uid))
		}
	}
	o.touch(uids)
}

// touched tells the outlines of what an operation has changed in the ledger.
// Needs mu.
func (s *Spool) touched(op Op) {
	switch op := op.(type) {
	case *TakeOp:
		if op.Known { // perhaps under another UID
			delete(s.outlines, op.BoxKey)
			return
		}
		s.touch(op.BoxKey, op.UID)
	case *LedgerOp:
		for _, uids := range [][]string{op.Skip, op.Back, op.Gone, op.Forget} {
			s.touch(op.Box, uids...)
		}
	case *RecogniseOp:
		delete(s.outlines, op.Box)
	case *SettledOp:
		for _, g := range op.Gone {
			s.touch(g.BoxKey, g.UID)
		}
	case *RouteOp, *RecordOp, *DeclinedOp, *BindOp, *HoldOp, *ListedOp, *PurgeOp, *RequeueOp, *DropOp, *ForgetOp:
	default:
		clear(s.outlines)
	}
}
