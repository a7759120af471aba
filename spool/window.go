package spool

import "time"

// overhead is what a mail in memory costs beside its octets.
const overhead = 4 << 10

// window is the mail kept in memory. What somebody holds (Next, a claim) is not
// counted against its limit: that is bounded by the number of workers, and a
// slow one must not keep the others from theirs. All methods need Spool.mu.
type window struct {
	limit   int64
	used    int64 // of mail that is loaded and not held
	entries map[ID]*entry
}

// entry is a mail that something in memory refers to.
type entry struct {
	id      ID
	item    *Item         // nil while only the store has it
	loading chan struct{} // closed when the holder that reads it back is done
	weight  int64
	refs    int  // deliveries in queues and claims, and the wait for routing
	held    int  // claims, and Next's caller
	waiting bool // for routing
	handed  bool // to Next's caller
	// recording tells that a Route of it is on its way to the store, before any that
	// begins from now on.
	recording bool
	ahead     *RouteOp  // its routing, while no record of it stands
	since     time.Time // when it was routed so
}

func (w *window) get(id ID) *entry {
	e := w.entries[id]
	if e == nil {
		e = &entry{id: id}
		w.entries[id] = e
	}
	return e
}

// room tells whether a mail may come in.
func (w *window) room(o *Octets) bool { return w.used+weigh(o) <= w.limit }

// weigh is what a mail costs in memory. One that is in a file costs a descriptor,
// and what its Memo holds of it; it is weighed as the largest that is not.
func weigh(o *Octets) int64 { return min(o.Size(), InRow) + overhead }

// load puts the mail into the entry.
func (w *window) load(e *entry, i *Item) {
	e.item, e.weight = i, weigh(i.Octets)
	if e.held == 0 {
		w.used += e.weight
	}
}

func (e *entry) unload() {
	if e.item != nil {
		_ = e.item.Octets.Close() // nothing was written through it
		e.item = nil
	}
}

// evict takes the mail, but not the entry, out of memory.
func (w *window) evict(e *entry) {
	if e.item == nil || e.held > 0 {
		return
	}
	w.used -= e.weight
	e.unload()
}

func (w *window) hold(e *entry) {
	if e.held == 0 && e.item != nil {
		w.used -= e.weight
	}
	e.held++
}

func (w *window) release(e *entry) {
	e.held--
	if e.held == 0 && e.item != nil {
		w.used += e.weight
	}
	w.tidy(e)
}

func (w *window) unref(e *entry) {
	e.refs--
	w.tidy(e)
}

// tidy drops an entry nobody refers to.
func (w *window) tidy(e *entry) {
	if e.refs > 0 || e.held > 0 {
		return
	}
	w.evict(e)
	delete(w.entries, e.id)
}

// shrink evicts routed mail that nobody holds until a quarter of the window is
// free again: from the queue that has most of it, the mail due last first, so
// that a slow sink's backlog makes way for the others.
func (s *Spool) shrink() {
	w := &s.window
	target := w.limit / 4 * 3
	for w.used > target {
		q, share, second := s.shares()
		if q == nil {
			return
		}
		for i := len(q.ready) - 1; i >= 0 && w.used > target && share >= second; i-- {
			if e := q.ready[i].entry; e.idle() {
				share -= e.weight
				w.evict(e)
			}
		}
	}
}

// idle tells whether the mail could be read back when it is needed.
func (e *entry) idle() bool { return e.item != nil && e.held == 0 && !e.waiting }

// shares finds the queue that keeps most idle octets in memory, how many, and
// how many the next one has; nil when none keeps any.
func (s *Spool) shares() (most *queue, first, second int64) {
	for _, q := range s.queues {
		var share int64
		for _, d := range q.ready {
			if d.entry.idle() {
				share += d.entry.weight
			}
		}
		switch {
		case share > first:
			most, first, second = q, share, first
		case share > second:
			second = share
		}
	}
	return most, first, second
}
