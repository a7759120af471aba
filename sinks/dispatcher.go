package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

// Destination is a sink and how the Dispatcher treats it. Zero values stand for
// the defaults.
type Destination struct {
	Sink        Sink
	Concurrency int              // deliveries at once; DefaultConcurrency. As many again may be waiting for their record
	Retry       backoff.Schedule // of deliveries and of probes; backoff.Default
	Exact       bool             // wait as long as the schedule says, without jitter
	Timeout     time.Duration    // of one Deliver; 10 minutes
	Interval    time.Duration    // between the beginnings of two deliveries; none
	// Prepare is called before each Deliver, with its context; an error of it is one
	// of the delivery. nil: nothing is to be done.
	Prepare func(ctx context.Context, d *Delivery) error
	// Wants tells which attachments are deliveries where each goes by itself; nil:
	// all.
	Wants    func(*parser.Attachment) bool
	InFlight int64 // octets of mail in delivery at once; 64 MiB. A larger mail goes alone
	Order    Order // which mails go one after the other; none
}

// Order says which deliveries to a sink are attempted strictly in the order the
// mails were taken: one begins when those before it have been accepted, are dead
// letters or were forgotten.
type Order string

// The orders. The zero Order is none.
const (
	ByMailbox Order = "mailbox" // all of one account
	ByThread  Order = "thread"  // those of one account with the same message.thread.key
)

// Event tells an observer what became of one mail (Delivery is empty: it was
// routed) or of one attempt.
type Event struct {
	Item     spool.ID
	Mailbox  string
	Sink     string // of an attempt
	Delivery string // of an attempt
	Number   int    // of the attempt, from 1
	Outcome  spool.Outcome
	Routing  *spool.Routing // of a mail just routed
}

// Options of a Dispatcher. The zero Options serve.
type Options struct {
	Clock   clock.Clock         // clock.System
	Logger  *slog.Logger        // none
	Observe func(Event)         // called by several goroutines at once, after an outcome is durable, or a mail is routed; it must return soon
	Grace   time.Duration       // for deliveries under way when Run's context ends; 20 s
	Routers int                 // mails parsed at once; 2
	Limits  parser.Limits       // of the parser
	Trusted map[string][]string // by mailbox: the authserv-ids whose results are believed (RFC 8601 section 5)
	Random  func() float64      // jitter, in [0, 1); rand.Float64. Called by several goroutines at once
}

const (
	longestStorePause = 30 * time.Second // between the tries to record an outcome

	defaultTimeout  = 10 * time.Minute
	defaultInFlight = 64 << 20
	defaultGrace    = 20 * time.Second
	defaultRouters  = 2
	workersEach     = 2           // for each slot of a sink: one delivers while another records
	routersEach     = 8           // for each mail being parsed: the others wait for the store
	storePause      = time.Second // after an error of the store
	never           = 100 * 365 * 24 * time.Hour
	removed         = "the sink is no longer configured"
)

// Dispatcher is the giving half: it takes mail from the spool, parses and routes
// it, and delivers it to every sink of its routes until each has said yes.
type Dispatcher struct {
	spool  *spool.Spool
	routes map[string][]Route
	lanes  map[string]*lane
	dest   map[string]Destination
	// parsing has a place for each mail being parsed. Routers that wait for their
	// commit hold none, so that many share one.
	parsing *semaphore.Weighted
	// oneLarge is held while a large mail is parsed, whose text costs memory.
	oneLarge sync.Mutex
	parse    func(io.ReaderAt, int64, parser.Limits) (*parser.Message, error)
	Options
}

// New makes a Dispatcher. routes are by mailbox, destinations by sink name. It
// starts nothing, and does not own the sinks: close them after Run.
func New(sp *spool.Spool, routes map[string][]Route, destinations map[string]Destination, o Options) *Dispatcher {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Routers <= 0 {
		o.Routers = defaultRouters
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	d := &Dispatcher{spool: sp, routes: routes, dest: destinations, lanes: map[string]*lane{}, parsing: semaphore.NewWeighted(int64(o.Routers)), parse: parser.Parse, Options: o}
	for name, dest := range destinations {
		d.lanes[name] = newLane(d, name, dest)
	}
	return d
}

// Run routes and delivers until ctx ends; then it waits for the deliveries under
// way, Options.Grace at most, after which their contexts end. What was not
// delivered is still in the spool. It returns nil after ctx ended, else the error
// that makes going on impossible (spool.ErrClosed, spool.ErrFenced, or a route to
// a sink that is not there). Run is called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	for mailbox, routes := range d.routes {
		for _, r := range routes {
			if d.lanes[r.To] == nil {
				return fmt.Errorf("mailbox %s has a route to sink %s, which is not configured", mailbox, r.To)
			}
		}
	}
	if err := d.adopt(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return d.work(ctx, true)
}

// Give is Run for one purpose: it delivers what waits for the destinations, and
// routes nothing. What other sinks have stays as it is.
func (d *Dispatcher) Give(ctx context.Context) error { return d.work(ctx, false) }

func (d *Dispatcher) work(ctx context.Context, route bool) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var workers sync.WaitGroup
	run := func(loop func(ctx, work context.Context) error) {
		workers.Go(func() {
			if err := loop(ctx, work); err != nil {
				stop(err)
			}
		})
	}
	if route {
		for range d.Routers * routersEach {
			run(d.routeAll)
		}
	}
	for _, l := range d.lanes {
		for range l.Concurrency * workersEach {
			run(l.deliverAll)
		}
	}
	<-ctx.Done()
	d.await(&workers, abort)
	if err := context.Cause(ctx); isFinal(err) {
		return err
	}
	return nil
}

// await waits for the workers, and ends their work's context after the grace.
func (d *Dispatcher) await(workers *sync.WaitGroup, abort context.CancelFunc) {
	done, cancel := context.WithCancel(context.Background())
	var timer sync.WaitGroup
	timer.Go(func() {
		if d.Clock.Sleep(done, d.Grace) == nil {
			abort()
		}
	})
	workers.Wait()
	cancel()
	timer.Wait()
}

// adopt holds what waits for sinks that are no longer configured, and lifts such
// holds of sinks that are back.
func (d *Dispatcher) adopt(ctx context.Context) error {
	st, err := d.spool.Status(ctx)
	if err != nil {
		return err
	}
	for _, s := range st.Sinks {
		_, configured := d.lanes[s.Sink]
		switch {
		case configured && s.Held == removed:
			err = d.spool.Resume(ctx, s.Sink)
		case !configured && s.Held != removed && s.Pending+s.Deferred > 0:
			d.Logger.Warn("sink held", "sink", s.Sink, "reason", removed, "deliveries", s.Pending+s.Deferred)
			err = d.spool.Hold(ctx, s.Sink, d.Clock.Now().Add(never), removed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isFinal tells the errors of the spool after which nothing works any more.
func isFinal(err error) bool {
	return errors.Is(err, spool.ErrClosed) || errors.Is(err, spool.ErrFenced)
}

// pause is after an error of the store that may pass. It returns the error where
// going on makes no sense; nil, with ctx ended, on shutdown.
func (d *Dispatcher) pause(ctx context.Context, doing string, err error) error {
	if isFinal(err) {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	d.Logger.Error("store failed", "doing", doing, "error", err)
	_ = d.Clock.Sleep(ctx, storePause) // its error is ctx's, which the caller looks at
	return nil
}

func (d *Dispatcher) observe(e Event) {
	if d.Observe != nil {
		d.Observe(e)
	}
}
