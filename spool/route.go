package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// unroutedLimit is how many mails are read back for routing at a time.
const unroutedLimit = 64

// routing is the queue of mail that waits to be routed, in the order taken.
// Every unrouted mail up to last is in queue or handed to a caller of Next; with
// more, the store has others after it, and mail just taken stays there as well,
// so that the order holds.
type routing struct {
	queue   []*entry
	last    ID
	more    bool
	loading bool
	again   ID  // the last mail that was sent back to be routed again: to be read before what is in queue
	stored  int // counts mails that went to the store only
	handed  []*entry
	waiters waiters
}

// offer gives a mail just taken to Next from memory, if there is room. Needs mu.
func (s *Spool) offer(i *Item) {
	r := &s.routing
	if !r.more && !s.window.room(i.Octets) {
		s.shrink()
	}
	if r.more || !s.window.room(i.Octets) {
		r.more = true
		r.stored++
		_ = i.Octets.Close() // the store has them
	} else {
		s.enqueue(i)
	}
	r.waiters.wake()
}

func (s *Spool) enqueue(i *Item) {
	e := s.window.get(i.ID)
	e.refs++
	e.waiting = true
	s.window.load(e, i)
	s.routing.insert(e)
	s.routing.last = max(s.routing.last, i.ID)
}

// insert queues an entry in the order taken.
func (r *routing) insert(e *entry) {
	i := len(r.queue)
	for i > 0 && r.queue[i-1].id > e.id {
		i--
	}
	r.queue = slices.Insert(r.queue, i, e)
}

// Next implements API.
func (s *Spool) Next(ctx context.Context) (*Item, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.routing
	for {
		if !r.more || r.last >= r.again {
			if e := s.dequeue(); e != nil {
				if len(r.queue) > 0 || r.more {
					r.waiters.wake()
				}
				return e.item, nil
			}
		}
		var err error
		if r.more && !r.loading {
			err = s.readUnrouted(ctx)
		} else {
			err = s.wait(ctx, &r.waiters, zero)
		}
		if err != nil {
			return nil, err
		}
	}
}

// dequeue takes the first mail off the queue and hands it to the caller.
func (s *Spool) dequeue() *entry {
	r := &s.routing
	for len(r.queue) > 0 {
		e := r.queue[0]
		r.queue[0] = nil
		r.queue = r.queue[1:]
		if !e.waiting {
			continue // routed without Next
		}
		e.handed = true
		r.handed = append(r.handed, e)
		s.window.hold(e)
		return e
	}
	r.queue = nil
	return nil
}

// readUnrouted reads mail back into the queue. Needs mu, which is given up while
// the store is asked.
func (s *Spool) readUnrouted(ctx context.Context) error {
	r := &s.routing
	if s.window.used > s.window.limit/2 {
		s.shrink()
	}
	after, stored, room := r.last, r.stored, s.window.limit-s.window.used
	r.loading = true
	s.mu.Unlock()
	items, err := s.store.Unrouted(ctx, after, unroutedLimit, room)
	s.mu.Lock()
	r.loading = false
	r.waiters.wake() // whoever waited for this reading
	if err != nil {
		s.doubt(err)
		return fmt.Errorf("read mail back for routing: %w", err)
	}
	for _, i := range items {
		if e := s.window.entries[i.ID]; e != nil && (e.waiting || e.handed || e.ahead != nil) {
			_ = i.Octets.Close() // read once more for one that was routed again, or is routed
			r.last = max(r.last, i.ID)
			continue
		}
		s.enqueue(i)
	}
	if len(items) == 0 && r.stored == stored {
		r.more = false
	}
	return nil
}

// Route implements API.
func (s *Spool) Route(ctx context.Context, id ID, r Routing) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	op, err := s.routeOp(ctx, id, r)
	if err == nil && len(op.Lines) > 0 {
		err = s.catchUp(ctx) // what was routed before is to be recorded before
	}
	if err == nil {
		err = s.recordRoute(ctx, op)
	}
	if err != nil {
		return fmt.Errorf("route mail %d: %w", id, err)
	}
	return nil
}

// routeOp is what records the routing.
func (s *Spool) routeOp(ctx context.Context, id ID, r Routing) (*RouteOp, error) {
	mail, err := s.identity(ctx, id)
	if err != nil {
		return nil, err
	}
	op := &RouteOp{ID: id, Routing: r, At: s.now()}
	op.To = nil
	for _, to := range r.To {
		if slices.Contains(op.To, to) {
			continue
		}
		op.To = append(op.To, to)
		op.Deliveries = append(op.Deliveries, DeliveryID(mail.Account, mail.SHA256, mail.Ordinal, to))
		if len(r.Order) > 0 {
			op.Lines = append(op.Lines, lineOf(mail.Account, to.Sink, r.Order))
		}
	}
	return op, nil
}

func (s *Spool) recordRoute(ctx context.Context, op *RouteOp) error {
	s.recordingRoute(op.ID)
	err := s.commit(ctx, op, int64(len(op.Facts)), func() { s.routed(op) })
	if err == nil {
		err = op.Err
	}
	if err != nil {
		s.notRouted(op.ID)
	}
	return err
}

// identity finds what delivery ids are made of, of a mail that has no routing.
func (s *Spool) identity(ctx context.Context, id ID) (*Item, error) {
	s.mu.Lock()
	e := s.window.entries[id]
	var mail *Item
	var err error
	if e != nil {
		mail = e.item
		if e.ahead != nil {
			err = ErrRouted
		}
	}
	s.mu.Unlock()
	if mail != nil || err != nil {
		return mail, err
	}
	i, err := s.store.Item(ctx, id)
	if err != nil {
		return nil, err
	}
	return i, i.Octets.Close()
}

// routed makes the deliveries claimable. Needs mu.
func (s *Spool) routed(op *RouteOp) {
	if errors.Is(op.Err, ErrBehind) {
		return // it waits for routing still
	}
	e := s.window.get(op.ID)
	if op.Err != nil { // another routed it, or it is not there any more
		s.unroute(e)
		return
	}
	if e.item != nil {
		e.item.Facts = op.Facts
	}
	for i, to := range op.To {
		if len(op.Behind) > 0 && op.Behind[i] {
			continue
		}
		e.refs++
		s.queue(to.Sink).add(&delivery{entry: e, Ready: Ready{
			Key:  Key{Due: op.At, Item: op.ID, Part: to.Part},
			Sink: to.Sink, Delivery: op.Deliveries[i],
		}})
	}
	s.unroute(e)
}

// unroute ends the entry's wait for routing. Needs mu.
func (s *Spool) unroute(e *entry) {
	if e.waiting {
		e.waiting = false
		e.refs--
	}
	e.recording = false
	if e.handed {
		s.unhand(e)
	} else {
		s.window.tidy(e)
	}
	if s.window.used > s.window.limit {
		s.shrink()
	}
	s.changed(e.id)
}
