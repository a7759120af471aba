package spool

import (
	"context"
	"errors"
	"slices"
	"time"
)

// waiters are calls that wait for something to change. They are woken one at a
// time, the longest waiting first; one that finds more to do than it takes wakes
// the next. All methods need Spool.mu.
type waiters struct{ list []chan struct{} }

func (w *waiters) add() chan struct{} {
	c := make(chan struct{})
	w.list = append(w.list, c)
	return c
}

func (w *waiters) wake() {
	if len(w.list) == 0 {
		return
	}
	close(w.list[0])
	w.list = slices.Delete(w.list, 0, 1)
}

func (w *waiters) wakeAll() {
	for len(w.list) > 0 {
		w.wake()
	}
}

// remove takes a waiter off the list; false if it was woken before.
func (w *waiters) remove(c chan struct{}) bool {
	i := slices.Index(w.list, c)
	if i < 0 {
		return false
	}
	w.list = slices.Delete(w.list, i, i+1)
	return true
}

// wait gives Spool.mu up until w wakes the caller, or the time at has come where
// it is not zero, or ctx or the spool ends, which is the error.
func (s *Spool) wait(ctx context.Context, w *waiters, at time.Time) error {
	return s.waitFor(ctx, w, w.add(), at)
}

func (s *Spool) waitFor(ctx context.Context, w *waiters, woken chan struct{}, at time.Time) error {
	s.mu.Unlock()
	s.sleep(ctx, woken, at)
	s.mu.Lock()
	err := ctx.Err()
	if err == nil {
		err = s.err
	}
	if !w.remove(woken) && err != nil {
		w.wake() // the one it was woken for is left to another
	}
	return err
}

func (s *Spool) sleep(ctx context.Context, woken <-chan struct{}, at time.Time) {
	var alarm chan struct{}
	if !at.IsZero() {
		alarm = make(chan struct{})
		sleeping, cancel := context.WithCancel(ctx)
		go func() {
			defer close(alarm)
			_ = s.clock.Sleep(sleeping, at.Sub(s.clock.Now())) // its only error is the end of ctx
		}()
		defer func() { cancel(); <-alarm }()
	}
	select {
	case <-woken:
	case <-alarm:
	case <-s.ended:
	case <-ctx.Done():
	}
}

// changed tells those that wait for the mail. Needs mu.
func (s *Spool) changed(id ID) {
	s.moves(id)
	if len(s.claims) == 0 && len(s.routing.handed) == 0 {
		s.drained.wakeAll()
	}
}

// moves wakes the calls that wait for the mail. Needs mu.
func (s *Spool) moves(id ID) {
	if w := s.moved[id]; w != nil {
		w.wakeAll()
	}
}

// movesOf are the calls that wait for the mail; done is to be called when the
// caller waits no more. Needs mu.
func (s *Spool) movesOf(id ID) (w *waiters, done func()) {
	if w = s.moved[id]; w == nil {
		w = &waiters{}
		s.moved[id] = w
	}
	return w, func() {
		if len(w.list) == 0 && s.moved[id] == w {
			delete(s.moved, id)
		}
	}
}

// Await implements API.
func (s *Spool) Await(ctx context.Context, items []ID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	for waited := true; waited; {
		waited = false
		for _, id := range items {
			w, err := s.awaitMail(ctx, id)
			if err != nil {
				return err
			}
			waited = waited || w
		}
	}
	return nil
}

// awaitMail waits for one mail and tells whether it had to.
func (s *Spool) awaitMail(ctx context.Context, id ID) (waited bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, done := s.movesOf(id)
	defer done()
	for {
		woken := w.add()
		busy, err := s.busy(ctx, id)
		if err != nil || !busy {
			w.remove(woken)
			return waited, err
		}
		waited = true
		if err := s.waitFor(ctx, w, woken, time.Time{}); err != nil {
			return waited, err
		}
	}
}

// busy tells whether the mail waits for routing or for a delivery that is due.
// Needs mu, which is given up where the store has to be asked.
func (s *Spool) busy(ctx context.Context, id ID) (bool, error) {
	e := s.window.entries[id]
	switch {
	case e != nil && (e.waiting || e.held > 0):
		return true, nil
	case e == nil && s.knowsAll():
		return false, nil
	}
	s.mu.Unlock()
	owed, err := s.store.Owed(ctx, id)
	s.mu.Lock()
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now := s.now()
	for _, d := range owed.Deliveries {
		if s.claims[d.Delivery] != nil {
			return true, nil
		}
		if !d.Due.After(now) && s.queue(d.Sink).hold == nil {
			return true, nil
		}
	}
	return owed.Unrouted, nil
}

// knowsAll tells whether everything that waits is in memory. Needs mu.
func (s *Spool) knowsAll() bool {
	if s.routing.more || s.routing.loading {
		return false
	}
	for _, q := range s.queues {
		if q.beyond != nil || q.refill != nil {
			return false
		}
	}
	return true
}

// Drain implements API.
func (s *Spool) Drain(ctx context.Context, until time.Time) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		woken := s.drained.add()
		left, err := s.left(ctx, until)
		if err != nil || !left {
			s.drained.remove(woken)
			return err
		}
		if err := s.waitFor(ctx, &s.drained, woken, time.Time{}); err != nil {
			return err
		}
	}
}

// left tells whether something can be done before until. Needs mu, which is
// given up while the store is asked.
func (s *Spool) left(ctx context.Context, until time.Time) (bool, error) {
	if len(s.claims) > 0 || len(s.routing.handed) > 0 {
		return true, nil
	}
	s.mu.Unlock()
	b, err := s.store.Backlog(ctx)
	s.mu.Lock()
	if err != nil {
		return false, err
	}
	if b.Unrouted || len(s.claims) > 0 || len(s.routing.handed) > 0 {
		return true, nil
	}
	if now := s.now(); now.After(until) {
		until = now // what was routed meanwhile is due now
	}
	for sink, due := range b.Sinks {
		h := s.queue(sink).hold
		if !due.After(until) && (h == nil || !h.ProbeAt.After(until)) {
			return true, nil
		}
	}
	return false, nil
}
