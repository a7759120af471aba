package fetcher

import (
	"context"
	"slices"
	"sync"
)

// tended are the mailboxes that Run looks after.
type tended struct {
	mu      sync.Mutex
	root    context.Context // Run's; nil while it does not run
	current map[*Mailbox]*tending
}

// tending is one mailbox being looked after.
type tending struct {
	stop context.CancelFunc
	done chan struct{}
}

// Run polls every mailbox on its schedule until ctx ends, and returns when the
// last visit has ended. A mailbox that fails is tried again, later and later;
// it never stops the others.
func (f *Fetcher) Run(ctx context.Context) error {
	t := &f.tended
	t.mu.Lock()
	t.root, t.current = ctx, map[*Mailbox]*tending{}
	for _, m := range f.mailboxes {
		f.begin(m)
	}
	t.mu.Unlock()
	<-ctx.Done()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(func(*Mailbox) bool { return true })
	t.root = nil
	return context.Cause(ctx)
}

// Replace changes the mailboxes that Run looks after. Those in both lists, as the
// same *Mailbox, go on undisturbed. The others of the old list end: a visit under
// way is cut short, and what it had not taken or settled is for the next one.
// Replace waits for that before the new ones begin, so a mailbox under a new
// configuration is never visited twice at a time.
func (f *Fetcher) Replace(mailboxes []*Mailbox) {
	t := &f.tended
	t.mu.Lock()
	defer t.mu.Unlock()
	f.mailboxes = mailboxes
	if t.root == nil {
		return
	}
	t.end(func(m *Mailbox) bool { return !slices.Contains(mailboxes, m) })
	for _, m := range mailboxes {
		if t.current[m] == nil {
			f.begin(m)
		}
	}
}

// begin looks after a mailbox. Needs tended.mu.
func (f *Fetcher) begin(m *Mailbox) {
	ctx, stop := context.WithCancel(f.tended.root)
	g := &tending{stop, make(chan struct{})}
	f.tended.current[m] = g
	go func() {
		defer close(g.done)
		f.tend(ctx, m)
	}()
}

// end stops those chosen and waits for them. Needs mu.
func (t *tended) end(chosen func(*Mailbox) bool) {
	var ended []*tending
	for m, g := range t.current {
		if chosen(m) {
			g.stop()
			ended = append(ended, g)
			delete(t.current, m)
		}
	}
	for _, g := range ended {
		<-g.done
	}
}
