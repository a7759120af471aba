package spool

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Due implements API.
func (s *Spool) Due(ctx context.Context, sink string) (*Claim, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue(sink)
	for {
		now := s.now()
		at, ok := q.first()
		probe := q.hold != nil
		switch {
		case probe && q.probing:
			ok, at = false, zero
		case probe && q.hold.ProbeAt.After(now):
			ok, at = false, q.hold.ProbeAt
		case ok && at.After(now):
			ok = false
		}
		var err error
		switch {
		case ok && len(q.ready) > 0:
			return s.claim(ctx, q, probe)
		case ok && q.refill == nil:
			err = q.fill(ctx)
		case ok:
			err = s.wait(ctx, &q.waiters, zero) // for the refill
		default:
			err = s.wait(ctx, &q.waiters, at)
		}
		if err != nil {
			return nil, err
		}
	}
}

// claim hands out the queue's first delivery. Needs mu, which is given up while
// its mail is read back.
func (s *Spool) claim(ctx context.Context, q *queue, probe bool) (*Claim, error) {
	d := q.pop()
	d.probe = probe
	q.probing = q.probing || probe
	q.claimed[d.Delivery] = d
	s.claims[d.Delivery] = d
	s.window.hold(d.entry)
	s.depart()
	q.depart()
	if len(q.ready) > 0 || q.beyond != nil {
		q.waiters.wake() // another takes over the watch
	}
	item, err := s.load(ctx, d.entry)
	var errand *Errand
	if err == nil {
		errand, err = s.errandOf(ctx, d)
	}
	if err != nil {
		s.doubt(err)
		s.unclaim(d)
		if d.gone {
			s.window.unref(d.entry)
		} else {
			q.add(d)
		}
		s.window.release(d.entry)
		return nil, fmt.Errorf("read mail %d back: %w", d.Item, err)
	}
	return &Claim{
		Delivery: d.Delivery, To: To{d.Sink, d.Part}, Attempts: d.Attempts, First: d.First,
		Probe: probe, Errand: errand, Progress: d.Progress, Item: item,
	}, nil
}

// load reads the entry's mail back if it is not in memory. The entry is held.
// Needs mu, which is given up while the store is asked.
func (s *Spool) load(ctx context.Context, e *entry) (*Item, error) {
	for e.item == nil {
		if c := e.loading; c != nil {
			s.mu.Unlock()
			select {
			case <-c:
			case <-ctx.Done():
			}
			s.mu.Lock()
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		e.loading = make(chan struct{})
		s.mu.Unlock()
		i, err := s.store.Item(ctx, e.id)
		s.mu.Lock()
		close(e.loading)
		e.loading = nil
		if err != nil {
			return nil, err
		}
		if e.ahead != nil {
			i.Facts = e.ahead.Facts
		}
		s.window.load(e, i)
	}
	return e.item, nil
}

// unclaim forgets a claim; the caller says what becomes of its delivery. Needs mu.
func (s *Spool) unclaim(d *delivery) {
	q := s.queue(d.Sink)
	delete(s.claims, d.Delivery)
	delete(q.claimed, d.Delivery)
	if q.refill != nil {
		q.refill.ended[d.Delivery] = true
	}
	if d.probe {
		d.probe, q.probing = false, false
		q.waiters.wake()
	}
}

// MaxProgress is how many octets an Outcome's Progress may have.
const MaxProgress = 64 << 10

// Record implements API.
func (s *Spool) Record(ctx context.Context, id ID, o Outcome) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := s.record(ctx, id, o); err != nil {
		return fmt.Errorf("record delivery %s: %w", o.Delivery, err)
	}
	return nil
}

func (s *Spool) record(ctx context.Context, id ID, o Outcome) error {
	switch {
	case o.State == Deferred && o.Next.IsZero():
		return fmt.Errorf("a deferred delivery needs the time of its next attempt")
	case o.State != Delivered && o.State != Deferred && o.State != Dead:
		return fmt.Errorf("%q is no outcome of an attempt", o.State)
	case len(o.Progress) > MaxProgress:
		return fmt.Errorf("its progress has %d octets, more than %d", len(o.Progress), MaxProgress)
	case o.State != Delivered && len(o.Errands) > 0:
		return fmt.Errorf("a delivery that is %s asks for nothing", o.State)
	}
	asked, octets := slices.Clone(o.Errands), int64(0)
	for i := range asked {
		asked[i].Parent = o.Delivery
		octets += int64(len(asked[i].Content))
		if err := asked[i].check(); err != nil {
			return err
		}
	}
	o.Errands = asked
	o.Next, o.Attempt.At = stamp(o.Next), stamp(o.Attempt.At)
	d, route, err := s.recording(id, o.Delivery)
	if err != nil {
		return err
	}
	op := &RecordOp{ID: id, To: To{d.Sink, d.Part}, Outcome: o, At: s.now(), Erase: s.retain == 0, Route: route}
	err = s.commit(ctx, op, octets, func() { s.recorded(op, d) })
	if err == nil {
		err = op.Err
	}
	if err != nil {
		s.mu.Lock()
		d.recording = false
		s.mu.Unlock()
	}
	return err
}

// recording finds the claim and marks it, so that it is recorded once, and the
// mail's routing, if that is to be recorded with it.
func (s *Spool) recording(id ID, name string) (*delivery, *RouteOp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.claims[name]
	if d == nil || d.Item != id || d.recording {
		return nil, nil, fmt.Errorf("it is not claimed: %w", ErrUnknown)
	}
	d.recording = true
	if d.entry.ahead == nil {
		return d, nil, nil
	}
	return d, again(d.entry.ahead), nil
}

// recorded ends the claim in memory. Needs mu.
func (s *Spool) recorded(op *RecordOp, d *delivery) {
	if op.Err != nil {
		return
	}
	if op.Route != nil {
		s.followed(d.entry)
	}
	s.unclaim(d)
	d.recording = false
	if op.State == Deferred {
		d.Attempts++
		if d.First.IsZero() {
			d.First = op.Attempt.At
		}
		d.Due, d.Progress = op.Next, op.Progress
		s.queue(d.Sink).add(d)
	} else {
		s.window.unref(d.entry)
	}
	s.ready(op.Freed)
	s.ready(op.Made)
	s.unhold(d)
	s.owe(op.Settle)
}

// unhold ends a claim's hold on its mail. Needs mu.
func (s *Spool) unhold(d *delivery) {
	s.window.release(d.entry)
	if s.window.used > s.window.limit {
		s.shrink()
	}
	s.changed(d.Item)
}

// Release implements API.
func (s *Spool) Release(c *Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.claims[c.Delivery]
	if d == nil || d.recording || s.err != nil {
		return
	}
	s.unclaim(d)
	if d.gone {
		s.window.unref(d.entry)
	} else {
		s.queue(d.Sink).add(d)
	}
	s.unhold(d)
}

// Hold implements API.
func (s *Spool) Hold(ctx context.Context, sink string, probeAt time.Time, reason string) error {
	h := Hold{Sink: sink, ProbeAt: stamp(probeAt), Reason: reason}
	return s.setHold(ctx, &HoldOp{Hold: h}, &h)
}

// Resume implements API.
func (s *Spool) Resume(ctx context.Context, sink string) error {
	return s.setHold(ctx, &HoldOp{Hold: Hold{Sink: sink}, Resume: true}, nil)
}

func (s *Spool) setHold(ctx context.Context, op *HoldOp, h *Hold) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	err := s.commit(ctx, op, 0, func() {
		q := s.queue(op.Sink)
		q.hold = h
		q.waiters.wakeAll()
		s.drained.wakeAll()
		for _, w := range s.moved {
			w.wakeAll()
		}
	})
	if err != nil {
		return fmt.Errorf("hold or resume sink %s: %w", op.Sink, err)
	}
	return nil
}
