package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/postferry/postferry/internal/clock"
)

// Options are what a Spool is opened with. The zero value of each field stands
// for the default.
type Options struct {
	Window  int64         // octets of waiting mail kept in memory; 6 MiB
	Largest int64         // octets of the largest mail taken; 256 MiB
	Retain  time.Duration // delivered mail is kept for replay this long; 0: not at all
	// Quota is how many octets of mail the store keeps at most; 0 is no limit. Mail
	// kept for replay gives way first, the oldest before its time. Beyond that a
	// sink's share is what is free: once the mail that a sink has not accepted takes
	// more than is left of the quota, mail of the mailboxes that feed the sink is
	// refused (ErrFull) until the sink accepts or an operator drops some, while the
	// others have the rest. So one broken sink takes half of the quota, two a third
	// each. In the same way a mailbox is refused whose mail no route matches. What is
	// refused stays on the server; nothing is deleted to make room.
	Quota    int64
	ReadOnly bool         // for a store that was opened for reading: changes are ErrReadOnly
	Clock    clock.Clock  // the system's
	Logger   *slog.Logger // none
}

const (
	defaultWindow  = 6 << 20
	defaultLargest = 256 << 20
)

// Spool is the front described in the package's documentation. All its methods
// may be called by several goroutines at once.
type Spool struct {
	store   Store
	clock   clock.Clock
	log     *slog.Logger
	largest int64
	retain  time.Duration
	quota   int64
	reading bool
	root    context.Context // ends with Close; owned goroutines sleep in it
	cancel  context.CancelFunc
	owned   sync.WaitGroup // the committer, the purger, catchUpAll
	calls   sync.WaitGroup // methods that run
	commits committer

	mu       sync.Mutex
	err      error         // why every call fails: ErrClosed or ErrFenced
	ended    chan struct{} // closed when err is set
	closing  sync.Once
	window   window
	routing  routing
	ahead    ahead
	queues   map[string]*queue
	claims   map[string]*delivery // by delivery id
	seed     maphash.Seed         // of the outlines' sums
	outlines map[BoxKey]*outline  // of the ledgers of boxes listed by this process
	settled  map[string]*waiters  // by mailbox: told of new settlements
	moved    map[ID]*waiters      // told of a change to a mail
	drained  waiters              // told when claims or routing end
	paced    waiters              // told when a mail leaves the window
	departed time.Time            // when the last one did
	pressed  waiters              // the purger: told when the quota is passed
	usage    usage
}

var _ API = (*Spool)(nil)

// Open starts a Spool over the store, which it owns from then on: Close closes
// it. ctx bounds the opening only.
func Open(ctx context.Context, store Store, o Options) (*Spool, error) {
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	if o.Largest <= 0 {
		o.Largest = defaultLargest
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		store: store, clock: o.Clock, log: o.Logger, largest: o.Largest, retain: o.Retain, quota: o.Quota, reading: o.ReadOnly,
		ended:    make(chan struct{}),
		window:   window{limit: o.Window, entries: map[ID]*entry{}},
		queues:   map[string]*queue{},
		claims:   map[string]*delivery{},
		seed:     maphash.MakeSeed(),
		outlines: map[BoxKey]*outline{},
		settled:  map[string]*waiters{},
		moved:    map[ID]*waiters{},
	}
	if err := s.recall(ctx); err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	s.root, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.commits.wake = make(chan struct{}, 1)
	s.ahead.wake = make(chan struct{}, 1)
	s.owned.Go(s.commitAll)
	if !s.reading {
		s.owned.Go(s.purgeAll)
		s.owned.Go(s.catchUpAll)
	}
	return s, nil
}

// recall learns from the store what an earlier process left.
func (s *Spool) recall(ctx context.Context) error {
	b, err := s.store.Backlog(ctx)
	if err != nil {
		return err
	}
	holds, err := s.store.Holds(ctx)
	if err != nil {
		return err
	}
	kept, err := s.store.Usage(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.add(kept)
	s.routing.more = b.Unrouted
	for sink := range b.Sinks {
		s.queue(sink).beyond = &Key{}
	}
	for _, h := range holds {
		s.queue(h.Sink).hold = &h
	}
	return nil
}

// Status implements API.
func (s *Spool) Status(ctx context.Context) (Status, error) {
	if err := s.enter(ctx); err != nil {
		return Status{}, err
	}
	defer s.calls.Done()
	_ = s.catchUp(ctx) // where it fails they show as mail to route
	st, err := s.store.Status(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read the store's status: %w", err)
	}
	s.sayFull(&st)
	return st, nil
}

// Close waits for the changes that are under way and for every call to return,
// and closes the store. Calls that wait for the spool return ErrClosed; a Stage
// returns when its reader does. Claims not recorded are due again in the next
// process.
func (s *Spool) Close() error {
	var err error
	s.closing.Do(func() {
		_ = s.catchUp(s.root) // where it fails the next process routes them
		s.end(ErrClosed)
		s.commits.close()
		s.cancel()
		s.owned.Wait()
		s.calls.Wait()
		s.mu.Lock()
		for _, e := range s.window.entries {
			e.unload()
		}
		s.mu.Unlock()
		err = s.store.Close()
	})
	return err
}

// end makes every call from now on fail with err, the first one given.
func (s *Spool) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(err)
}

func (s *Spool) endLocked(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	close(s.ended)
}

// doubt fences the spool where reading shows that the disk cannot be believed.
// Needs mu.
func (s *Spool) doubt(err error) {
	if errors.Is(err, ErrFenced) && s.err == nil {
		s.log.Error("store fenced", "error", err)
		s.endLocked(err)
	}
}

// enter counts a call that Close waits for; the caller ends it with calls.Done.
func (s *Spool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.calls.Add(1)
	return nil
}

// now is the time as it is stored: UTC, no monotonic reading.
func (s *Spool) now() time.Time { return stamp(s.clock.Now()) }

func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.Unix(0, t.UnixNano()).UTC()
}
