package spool

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"
)

// readyLimit is how many deliveries of one sink are queued in memory; the others
// are in the store only.
const readyLimit = 1024

var zero time.Time

// queue is one sink's open deliveries, in the order of their keys. ready holds
// all of those before beyond that are not claimed; from beyond on, only the store
// knows them. All methods need Spool.mu.
type queue struct {
	s       *Spool
	sink    string
	ready   []*delivery
	beyond  *Key // nil: ready is all there is
	claimed map[string]*delivery
	refill  *refill
	waiters waiters
	hold    *Hold
	probing bool

	departed time.Time // when a worker last took a delivery
	room     waiters   // told of that, where few are left
}

// delivery is one of a queue, or claimed.
type delivery struct {
	Ready
	entry     *entry
	probe     bool
	recording bool
	gone      bool // forgotten while it was claimed
}

// refill is what happened while the store was asked for more.
type refill struct {
	added []*delivery
	ended map[string]bool
}

// queue finds the sink's queue or makes it.
func (s *Spool) queue(sink string) *queue {
	q := s.queues[sink]
	if q == nil {
		q = &queue{s: s, sink: sink, claimed: map[string]*delivery{}}
		s.queues[sink] = q
	}
	return q
}

// add queues a delivery that the entry is already counted for.
func (q *queue) add(d *delivery) {
	if q.claimed[d.Delivery] != nil { // a refill met it in the store before memory was told
		q.s.window.unref(d.entry)
		return
	}
	if q.beyond != nil && !d.Less(*q.beyond) && d.entry.ahead == nil {
		if q.refill == nil {
			q.s.window.unref(d.entry)
		} else {
			q.refill.added = append(q.refill.added, d)
		}
		q.waiters.wake()
		return
	}
	q.insert(d)
	q.trim()
	q.waiters.wake()
}

func (q *queue) insert(d *delivery) {
	i := len(q.ready)
	if i > 0 && d.Less(q.ready[i-1].Key) {
		i = sort.Search(i, func(i int) bool { return d.Less(q.ready[i].Key) })
	}
	if i > 0 && q.ready[i-1].Delivery == d.Delivery { // as in add
		q.s.window.unref(d.entry)
		return
	}
	q.ready = slices.Insert(q.ready, i, d)
}

// trim leaves the last deliveries to the store where the queue is too long.
func (q *queue) trim() {
	if q.refill != nil {
		return // its end would set beyond past what is trimmed
	}
	for len(q.ready) > readyLimit {
		n := len(q.ready) - 1
		d := q.ready[n]
		if d.entry.ahead != nil {
			return // the store does not have it
		}
		q.ready[n] = nil
		q.ready = q.ready[:n]
		q.beyond = &d.Key
		q.s.window.unref(d.entry)
	}
}

func (q *queue) pop() *delivery {
	d := q.ready[0]
	q.ready[0] = nil
	q.ready = q.ready[1:]
	return d
}

// depart tells of a delivery that a worker took.
func (q *queue) depart() {
	q.departed = time.Now()
	if len(q.ready) < aheadReady {
		q.room.wake()
	}
}

// first is when the queue's first delivery is due; ok is false if it has none.
func (q *queue) first() (at time.Time, ok bool) {
	switch {
	case len(q.ready) > 0:
		return q.ready[0].Due, true
	case q.beyond != nil:
		return q.beyond.Due, true
	}
	return zero, false
}

// fill asks the store for the deliveries from beyond on. Needs mu, which is
// given up while the store is asked.
func (q *queue) fill(ctx context.Context) error {
	q.refill = &refill{ended: map[string]bool{}}
	from, limit := *q.beyond, readyLimit/2+len(q.claimed)+1
	q.s.mu.Unlock()
	rows, err := q.s.store.Open(ctx, q.sink, from, limit)
	q.s.mu.Lock()
	r := q.refill
	q.refill = nil
	if err != nil {
		q.s.doubt(err)
		for _, d := range r.added {
			q.s.window.unref(d.entry)
		}
		q.waiters.wake() // another may have better luck
		return fmt.Errorf("read the deliveries of sink %s: %w", q.sink, err)
	}
	q.beyond = nil
	if len(rows) == limit {
		q.beyond = &rows[limit-1].Key
		rows = rows[:limit-1]
	}
	added := map[string]bool{}
	for _, d := range r.added {
		added[d.Delivery] = true
		q.admit(d)
	}
	for _, row := range rows {
		if q.claimed[row.Delivery] != nil || r.ended[row.Delivery] || added[row.Delivery] {
			continue
		}
		e := q.s.window.get(row.Item)
		e.refs++
		q.admit(&delivery{Ready: row, entry: e})
	}
	q.trim()
	q.waiters.wake()
	return nil
}

// admit is add after a refill: without waking and trimming for each.
func (q *queue) admit(d *delivery) {
	if q.beyond != nil && !d.Less(*q.beyond) {
		q.s.window.unref(d.entry)
		return
	}
	q.insert(d)
}
