package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A routing is ahead of its record while only memory has it: its deliveries can be
// claimed, and the record comes with the outcome of the first of them, in one
// transaction, or after about aheadLongest by itself. Where the process ends before,
// the next one routes the mail again. What reads the store for others, or changes
// what it has of a mail, has all of them recorded first (catchUp).
const (
	aheadLongest = 50 * time.Millisecond
	aheadPause   = time.Second // after a record that failed

	// So many deliveries of a sink wait for its workers at most, else a mail waits with
	// its routing for aheadRoom, if they are at work: one took a delivery aheadMoving ago
	// or later. More would be recorded, and read back, before their turn comes.
	aheadReady  = 32
	aheadRoom   = 10 * time.Millisecond
	aheadMoving = 2 * time.Millisecond
)

// ahead are the routings that are. Needs Spool.mu.
type ahead struct {
	entries []*entry      // in the order routed
	wake    chan struct{} // for catchUpAll
}

// RouteAhead implements API.
func (s *Spool) RouteAhead(ctx context.Context, id ID, r Routing) error {
	if len(r.Order) > 0 || len(r.To) == 0 || r.Quarantine != "" {
		return s.Route(ctx, id, r) // a line's end is found in the store; the others have no outcome
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	op, err := s.routeOp(ctx, id, r)
	if err == nil && !s.tryAhead(ctx, op) {
		err = s.recordRoute(ctx, op)
	}
	if err != nil {
		return fmt.Errorf("route mail %d: %w", id, err)
	}
	return nil
}

// tryAhead makes the deliveries claimable; false where the routing is to be recorded
// first.
func (s *Spool) tryAhead(ctx context.Context, op *RouteOp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.crowded(op); q != nil && time.Since(q.departed) < aheadMoving {
		s.linger(ctx, &q.room, aheadRoom)
	}
	e := s.window.entries[op.ID]
	if s.err != nil || s.crowded(op) != nil || e == nil || e.item == nil || !e.waiting {
		return false
	}
	e.ahead, e.since = op, time.Now()
	s.ahead.entries = append(s.ahead.entries, e)
	select {
	case s.ahead.wake <- struct{}{}:
	default:
	}
	s.routed(op)
	return true
}

// crowded finds a queue that is to get one of the deliveries and has enough, or
// keeps what it gets waiting; nil where there is none. Needs mu.
func (s *Spool) crowded(op *RouteOp) *queue {
	for _, to := range op.To {
		if q := s.queue(to.Sink); q.beyond != nil || q.hold != nil || len(q.ready) >= aheadReady {
			return q
		}
	}
	return nil
}

// linger waits until w wakes the caller, for d at most. Needs mu, which is given up
// meanwhile.
func (s *Spool) linger(ctx context.Context, w *waiters, d time.Duration) {
	woken := w.add()
	timer := time.NewTimer(d)
	defer timer.Stop()
	s.mu.Unlock()
	select {
	case <-woken:
	case <-timer.C:
	case <-s.ended:
	case <-ctx.Done():
	}
	s.mu.Lock()
	w.remove(woken)
}

// followed is after the record of the entry's routing, with whatever it came to.
// Needs mu.
func (s *Spool) followed(e *entry) {
	if e.ahead == nil {
		return
	}
	e.ahead = nil
	s.ahead.entries = slices.DeleteFunc(s.ahead.entries, func(o *entry) bool { return o == e })
}

// abandon ends the deliveries of a routing that is ahead and will not be recorded.
// Needs mu.
func (s *Spool) abandon(e *entry) {
	op := e.ahead
	if op == nil {
		return
	}
	s.followed(e)
	for i, id := range op.Deliveries {
		if d := s.claims[id]; d != nil {
			d.gone = true
		} else {
			s.queue(op.To[i].Sink).remove(id)
		}
	}
}

// catchUp records every routing that is ahead.
func (s *Spool) catchUp(ctx context.Context) error { return s.catchUpSince(ctx, time.Now()) }

// catchUpSince records those that were ahead by then. An outcome may record one of
// them meanwhile: that is as good.
func (s *Spool) catchUpSince(ctx context.Context, by time.Time) error {
	s.mu.Lock()
	var ops []*RouteOp
	for _, e := range s.ahead.entries {
		if !e.since.After(by) {
			ops = append(ops, again(e.ahead))
		}
	}
	s.mu.Unlock()
	var sent []*request
	for _, op := range ops {
		sent = append(sent, s.send(op, int64(len(op.Facts)), func() { s.caughtUp(op) }))
	}
	var errs []error
	for _, r := range sent {
		errs = append(errs, s.await(ctx, r))
	}
	return errors.Join(errs...)
}

// again is the operation without its result: one that is under way may not be had
// twice.
func again(op *RouteOp) *RouteOp {
	return &RouteOp{ID: op.ID, Routing: op.Routing, Deliveries: op.Deliveries, At: op.At}
}

// caughtUp brings memory up to date. Needs mu.
func (s *Spool) caughtUp(op *RouteOp) {
	e := s.window.entries[op.ID]
	switch {
	case e == nil || e.ahead == nil: // an outcome was faster
	case op.Err != nil:
		s.abandon(e)
	default:
		s.followed(e)
	}
	s.changed(op.ID)
}

// catchUpAll records what stays ahead for long.
func (s *Spool) catchUpAll() {
	pause := aheadLongest
	for s.rest(pause) {
		pause = aheadLongest
		if err := s.catchUpSince(s.root, time.Now().Add(-aheadLongest/2)); err != nil && s.root.Err() == nil {
			s.log.Error("store failed", "doing", "recording routings", "error", err)
			pause = aheadPause
		}
	}
}

// rest waits until some routing is ahead, and then for so long; false when the
// spool ends.
func (s *Spool) rest(pause time.Duration) bool {
	s.mu.Lock()
	idle := len(s.ahead.entries) == 0
	s.mu.Unlock()
	if idle {
		select {
		case <-s.ahead.wake:
		case <-s.root.Done():
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.root.Done():
	}
	return s.root.Err() == nil
}
