package sinks

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// world is a spool on a real store, within a bubble of synctest: its time moves
// only when everything waits for it.
type world struct {
	t     testing.TB
	path  string
	spool *spool.Spool
	taken int
	start time.Time
	full  atomic.Bool // the store refuses outcomes
}

// inWorld runs the test in a bubble, with an empty spool.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: filepath.Join(dir, "store.db"), start: time.Now()}
		w.open()
		defer func() { w.close() }()
		test(t, w)
	})
}

func (w *world) open() {
	w.t.Helper()
	w.spool = openSpool(w.t, w.path, &w.full)
}

// full is a store that refuses to record outcomes while it is set, as one on a
// disk that is full.
type full struct {
	spool.Store
	set *atomic.Bool
}

func (f full) Commit(ctx context.Context, ops []spool.Op) error {
	for _, op := range ops {
		if _, ok := op.(*spool.RecordOp); ok && f.set.Load() {
			return errors.New("database or disk is full")
		}
	}
	return f.Store.Commit(ctx, ops)
}

func openSpool(t testing.TB, path string, set *atomic.Bool) *spool.Spool {
	t.Helper()
	on, err := sqlite.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	var store spool.Store = on
	if set != nil {
		store = full{on, set}
	}
	sp, err := spool.Open(context.Background(), store, spool.Options{Retain: 30 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func (w *world) close() {
	w.t.Helper()
	if err := w.spool.Close(); err != nil {
		w.t.Error(err)
	}
}

// take makes a mail with that subject durable, for the mailbox "in".
func (w *world) take(subject string) spool.ID {
	w.t.Helper()
	return w.takeRaw("From: a@example.com\r\nSubject: " + subject + "\r\n\r\nbody of " + subject + "\r\n")
}

func (w *world) takeRaw(raw string) spool.ID {
	w.t.Helper()
	w.taken++
	id, err := takeInto(w.spool, w.taken, raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func takeInto(sp *spool.Spool, n int, raw string) (spool.ID, error) {
	octets, err := sp.Stage(context.Background(), strings.NewReader(raw))
	if err != nil {
		return 0, err
	}
	return sp.Take(context.Background(), spool.Taken{
		Mailbox: "in", Protocol: "imap", BoxKey: spool.BoxKey{Account: "u@mail.example", Box: "INBOX"},
		UID: fmt.Sprintf("1693/%d", n), ReceivedAt: time.Now(), Octets: octets,
	})
}

// takeAll takes n mails with the subjects m0, m1 …
func (w *world) takeAll(n int) {
	w.t.Helper()
	for i := range n {
		w.take(fmt.Sprintf("m%d", i))
	}
}

// run starts a dispatcher and returns what stops it and waits for its end. The
// mailbox "in" is routed to every destination, in no order, unless routes says
// otherwise.
func (w *world) run(destinations map[string]Destination, o Options, routes ...Route) (stop func()) {
	w.t.Helper()
	d := w.dispatcher(destinations, o, routes...)
	return w.runDispatcher(d)
}

func (w *world) dispatcher(destinations map[string]Destination, o Options, routes ...Route) *Dispatcher {
	if routes == nil {
		for name := range destinations {
			routes = append(routes, Route{To: name})
		}
	}
	if o.Random == nil {
		o.Random = func() float64 { return 0 } // the whole step
	}
	return New(w.spool, map[string][]Route{"in": routes}, destinations, o)
}

func (w *world) runDispatcher(d *Dispatcher) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

func (w *world) sink(name string) spool.SinkStatus {
	w.t.Helper()
	st, err := w.spool.Status(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range st.Sinks {
		if s.Sink == name {
			return s
		}
	}
	return spool.SinkStatus{Sink: name}
}

func (w *world) mailbox() spool.MailboxStatus {
	w.t.Helper()
	st, err := w.spool.Status(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range st.Mailboxes {
		if m.Mailbox == "in" {
			return m
		}
	}
	return spool.MailboxStatus{}
}

// try is one Deliver a scripted sink has seen.
type try struct {
	ID      string
	Attempt int
	Subject string
	After   time.Duration // since the sink was made
	Stamp   time.Time
	Part    string
}

// scripted is a sink that answers as it is told and remembers what it was given.
type scripted struct {
	answer func(ctx context.Context, d *Delivery, n int) error // n counts its Delivers, from 1
	splits bool
	start  time.Time

	mu    sync.Mutex
	tries []try
	now   int // Delivers under way
	most  int // of them at once
}

func script(answer func(ctx context.Context, d *Delivery, n int) error) *scripted {
	return &scripted{answer: answer, start: time.Now()}
}

// accepts takes everything.
func accepts() *scripted {
	return script(func(context.Context, *Delivery, int) error { return nil })
}

// refuses fails everything with err.
func refuses(err error) *scripted {
	return script(func(context.Context, *Delivery, int) error { return err })
}

// hangs answers nothing until its context ends.
func hangs() *scripted {
	return script(func(ctx context.Context, _ *Delivery, _ int) error { <-ctx.Done(); return ctx.Err() })
}

var errDown = errors.New("connection refused")

func (s *scripted) Deliver(ctx context.Context, d *Delivery) (Receipt, error) {
	s.mu.Lock()
	subject := ""
	if d.Message.Subject != nil {
		subject = *d.Message.Subject
	}
	s.tries = append(s.tries, try{d.ID, d.Attempt, subject, time.Since(s.start), d.Timestamp, d.Part})
	n := len(s.tries)
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	if err := s.answer(ctx, d, n); err != nil {
		return Receipt{}, err
	}
	return Receipt{Detail: "ok"}, nil
}

func (s *scripted) Close() error { return nil }

func (s *scripted) SplitsAttachments() bool { return s.splits }

func (s *scripted) seen() []try {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]try(nil), s.tries...)
}

// atOnce is how many Delivers ran at the same time, at most.
func (s *scripted) atOnce() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

func (s *scripted) subjects() map[string]int {
	all := map[string]int{}
	for _, t := range s.seen() {
		all[t.Subject]++
	}
	return all
}

// events collects what a dispatcher tells.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) observe(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

// of are the outcomes of a sink's attempts.
func (e *events) of(sink string) []spool.Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []spool.Outcome
	for _, ev := range e.list {
		if ev.Sink == sink {
			all = append(all, ev.Outcome)
		}
	}
	return all
}

func (e *events) routings() []spool.Routing {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []spool.Routing
	for _, ev := range e.list {
		if ev.Routing != nil {
			all = append(all, *ev.Routing)
		}
	}
	return all
}
