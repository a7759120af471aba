package spool

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// What one transaction takes at most.
const (
	batchOps    = 512
	batchOctets = 2 << 20
)

// gatherTurns is how often the processor is yielded for the next batch at most.
const gatherTurns = 4

// request is a change on its way to the store.
type request struct {
	op     Op
	octets int64
	apply  func() // brings memory up to date; runs with Spool.mu held
	err    error
	done   chan struct{}
}

// committer gathers changes while the transaction before them becomes durable.
type committer struct {
	mu     sync.Mutex
	queue  []*request
	closed bool
	wake   chan struct{}
}

// commit returns when op is durable and memory says so too, or with the error
// that kept it from being stored. An op that has been picked up is waited for
// even if ctx ends: its outcome is never unknown.
func (s *Spool) commit(ctx context.Context, op Op, octets int64, apply func()) error {
	return s.await(ctx, s.send(op, octets, apply))
}

// send puts op in the queue: what is sent later is not stored before it.
func (s *Spool) send(op Op, octets int64, apply func()) *request {
	r := &request{op: op, octets: octets, apply: apply, done: make(chan struct{})}
	switch {
	case s.reading:
		r.err = ErrReadOnly
	case !s.commits.add(r):
		r.err = s.ending()
	default:
		return r
	}
	close(r.done)
	return r
}

// await is the rest of commit.
func (s *Spool) await(ctx context.Context, r *request) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if s.commits.remove(r) {
		return ctx.Err()
	}
	<-r.done
	return r.err
}

func (c *committer) add(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.queue = append(c.queue, r)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return true
}

func (c *committer) remove(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, q := range c.queue {
		if q == r {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			return true
		}
	}
	return false
}

func (c *committer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.wake)
	}
}

// next takes the next batch; nil when there is none, and open is false when
// there will be none.
func (c *committer) next() (batch []*request, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var octets int64
	n := 0
	for n < len(c.queue) && n < batchOps && (n == 0 || octets+c.queue[n].octets <= batchOctets) {
		octets += c.queue[n].octets
		n++
	}
	batch = append(batch, c.queue[:n]...)
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	return batch, !c.closed
}

// gather lets the callers just told of their commit come back with their next
// change before the next batch is cut, so that they need not wait for the one
// after it. It takes no longer than they need to get there, and a few turns of the
// processor at most.
func (c *committer) gather() {
	for turn, had := 0, -1; turn < gatherTurns; turn++ {
		c.mu.Lock()
		n := len(c.queue)
		c.mu.Unlock()
		if n == had {
			return
		}
		had = n
		runtime.Gosched()
	}
}

// commitAll is the one goroutine that writes.
func (s *Spool) commitAll() {
	ctx := context.WithoutCancel(s.root)
	for {
		batch, open := s.commits.next()
		if len(batch) == 0 {
			if !open {
				return
			}
			<-s.commits.wake
			continue
		}
		s.commitBatch(ctx, batch)
		if err := s.store.Maintain(ctx); err != nil {
			s.failed(err)
			s.log.Error("store housekeeping failed", "error", err)
		}
		s.commits.gather()
	}
}

// commitBatch commits the requests in one transaction. Where that fails, each is
// tried by itself, so that one too large for a full disk does not take the
// others with it.
func (s *Spool) commitBatch(ctx context.Context, batch []*request) {
	err := s.fenced()
	if err == nil {
		ops := make([]Op, len(batch))
		for i, r := range batch {
			ops[i] = r.op
		}
		err = s.store.Commit(ctx, ops)
		s.failed(err)
	}
	if err != nil && len(batch) > 1 && !errors.Is(err, ErrFenced) {
		for _, r := range batch {
			s.commitBatch(ctx, []*request{r})
		}
		return
	}
	if err == nil {
		s.mu.Lock()
		for _, r := range batch {
			if c, ok := r.op.(interface{ Charging() *Charged }); ok {
				s.charge(c.Charging().Charges)
			}
			s.touched(r.op)
			if r.apply != nil {
				r.apply()
			}
		}
		s.mu.Unlock()
	}
	for _, r := range batch {
		r.err = err
		close(r.done)
	}
}

// failed fences the spool where the store can no longer be believed.
func (s *Spool) failed(err error) {
	if errors.Is(err, ErrFenced) {
		s.log.Error("store fenced", "error", err)
		s.end(err)
	}
}

func (s *Spool) fenced() error {
	if err := s.ending(); errors.Is(err, ErrFenced) {
		return err
	}
	return nil
}

func (s *Spool) ending() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
