package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

var inbox = spool.BoxKey{Account: "ada@mail.example", Box: "INBOX"}

// failing is a store whose commits fail when the test says so.
type failing struct {
	spool.Store
	mu  sync.Mutex
	err error
	do  func()
}

// before has the next commits do something first.
func (f *failing) before(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.do = do
}

func (f *failing) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) Commit(ctx context.Context, ops []spool.Op) error {
	f.mu.Lock()
	err, do := f.err, f.do
	f.mu.Unlock()
	if do != nil {
		do()
	}
	if err != nil {
		return err
	}
	return f.Store.Commit(ctx, ops)
}

type front struct {
	*spool.Spool
	t     *testing.T
	store *failing
	n     int
}

func newFront(t *testing.T, o spool.Options) *front {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	f := &front{t: t, store: &failing{Store: store}}
	if f.Spool, err = spool.Open(t.Context(), f.store, o); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *front) mail(size int) spool.Taken {
	f.t.Helper()
	f.n++
	o, err := f.Stage(f.t.Context(), bytes.NewReader(fmt.Appendf(make([]byte, 0, size), "%0*d", size, f.n)))
	if err != nil {
		f.t.Fatal(err)
	}
	return spool.Taken{Mailbox: "m", Protocol: "imap", BoxKey: inbox, UID: fmt.Sprint("1/", f.n), Octets: o, Policy: spool.Policy{After: spool.Action{Verb: spool.Delete}}}
}

func (f *front) take(size int) spool.ID {
	f.t.Helper()
	id, err := f.Take(f.t.Context(), f.mail(size))
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// route routes the next mail.
func (f *front) route(sinks ...string) spool.ID {
	f.t.Helper()
	return f.routeBy(f.Route, "", sinks...)
}

// ahead routes the next mail ahead of its record.
func (f *front) ahead(facts string, sinks ...string) spool.ID {
	f.t.Helper()
	return f.routeBy(f.RouteAhead, facts, sinks...)
}

func (f *front) routeBy(route func(context.Context, spool.ID, spool.Routing) error, facts string, sinks ...string) spool.ID {
	f.t.Helper()
	i, err := f.Next(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	var to []spool.To
	for _, s := range sinks {
		to = append(to, spool.To{Sink: s})
	}
	if err := route(f.t.Context(), i.ID, spool.Routing{To: to, Facts: []byte(facts)}); err != nil {
		f.t.Fatal(err)
	}
	return i.ID
}

func (f *front) claim(sink string) *spool.Claim {
	f.t.Helper()
	c, err := f.Due(f.t.Context(), sink)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *front) record(c *spool.Claim, state spool.State, next time.Time) {
	f.t.Helper()
	if err := f.Record(f.t.Context(), c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: state, Next: next}); err != nil {
		f.t.Fatal(err)
	}
}

// call runs do beside the test.
type call struct{ done chan error }

func start(do func() error) *call {
	c := &call{make(chan error, 1)}
	go func() { c.done <- do() }()
	return c
}

// waits fails the test unless the call is still waiting, with nothing left that
// could end it but what the test does next.
func (c *call) waits(t *testing.T, for_ string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-c.done:
		t.Fatalf("it did not wait for %s: %v", for_, err)
	default:
	}
}

// ends fails the test unless the call has ended with that error.
func (c *call) ends(t *testing.T, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-c.done:
		if !errors.Is(err, want) {
			t.Fatalf("it ended with %v; want %v", err, want)
		}
	default:
		t.Fatal("it has not ended")
	}
}

// facts run in a bubble whose clock moves when everything waits.
func TestFront(t *testing.T) {
	for name, fact := range map[string]func(*testing.T){
		"Next waits for a mail": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			c := start(func() error { _, err := f.Next(t.Context()); return err })
			c.waits(t, "a mail")
			f.take(10)
			c.ends(t, nil)
		},
		"Due waits for a delivery, and for its time": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			f.take(10)
			due := func() error { _, err := f.Due(t.Context(), "app"); return err }
			c := start(due)
			c.waits(t, "a delivery")
			f.route("app")
			c.ends(t, nil)
			f.take(10)
			f.route("app")
			f.record(f.claim("app"), spool.Deferred, time.Now().Add(time.Hour))
			c = start(due)
			c.waits(t, "the time")
			time.Sleep(time.Hour - time.Second)
			c.waits(t, "the last second")
			time.Sleep(time.Second)
			c.ends(t, nil)
		},
		"of several that wait one gets the delivery": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			var calls []*call
			for range 3 {
				calls = append(calls, start(func() error { _, err := f.Due(t.Context(), "app"); return err }))
			}
			f.take(10)
			f.route("app")
			synctest.Wait()
			ended := 0
			for _, c := range calls {
				ended += len(c.done)
			}
			if ended != 1 {
				t.Errorf("%d workers got it", ended)
			}
		},
		"a worker that goes away leaves its turn to another": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			ctx, cancel := context.WithCancel(t.Context())
			first := start(func() error { _, err := f.Due(ctx, "app"); return err })
			synctest.Wait()
			second := start(func() error { _, err := f.Due(t.Context(), "app"); return err })
			synctest.Wait()
			cancel()
			first.ends(t, context.Canceled)
			f.take(10)
			f.route("app")
			second.ends(t, nil)
		},
		"a released claim is due again at once, and a recorded one is not": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			f.take(10)
			f.route("app")
			c := f.claim("app")
			next := start(func() error { _, err := f.Due(t.Context(), "app"); return err })
			next.waits(t, "the claim's end")
			f.Release(c)
			next.ends(t, nil)
			f.Release(c)
			f.Release(c) // not twice
			c = f.claim("app")
			f.record(c, spool.Delivered, time.Time{})
			f.Release(c)
			start(func() error { _, err := f.Due(t.Context(), "app"); return err }).waits(t, "a delivery")
		},
		"a failed record leaves the claim standing": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			f.take(10)
			f.route("app")
			c := f.claim("app")
			f.store.fail(errors.New("no room"))
			if err := f.Record(t.Context(), c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered}); err == nil {
				t.Fatal("it was recorded")
			}
			f.store.fail(nil)
			f.record(c, spool.Delivered, time.Time{})
		},
		"Await waits until nothing of the mails is due": func(t *testing.T) {
			f := newFront(t, spool.Options{Retain: time.Hour})
			defer f.Close()
			ids := []spool.ID{f.take(10), f.take(10), f.take(10), f.take(10), 99}
			c := start(func() error { return f.Await(t.Context(), ids) })
			c.waits(t, "routing")
			f.route("a")
			f.route("b")
			f.route("held")
			f.route()
			c.waits(t, "the deliveries")
			f.record(f.claim("a"), spool.Delivered, time.Time{})
			b := f.claim("b")
			if err := f.Hold(t.Context(), "held", time.Now().Add(time.Hour), "x"); err != nil {
				t.Fatal(err)
			}
			c.waits(t, "the delivery that is under way")
			f.record(b, spool.Deferred, time.Now().Add(time.Minute))
			c.ends(t, nil)
		},
		"Drain waits until nothing can be done before then": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			f.take(10)
			until := time.Now().Add(time.Minute)
			c := start(func() error { return f.Drain(t.Context(), until) })
			c.waits(t, "routing")
			f.route("app")
			c.waits(t, "the delivery")
			claim := f.claim("app")
			c.waits(t, "the claim")
			f.record(claim, spool.Deferred, time.Now().Add(30*time.Second))
			c.waits(t, "what is due within the minute")
			time.Sleep(30 * time.Second)
			f.record(f.claim("app"), spool.Deferred, time.Now().Add(time.Hour))
			c.ends(t, nil)
		},
		"WaitSettlements waits for a settlement, and for its time": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			m := f.mail(10)
			m.Policy.Delay = 24 * time.Hour
			if _, err := f.Take(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			c := start(func() error { return f.WaitSettlements(t.Context(), "m") })
			f.route("app")
			c.waits(t, "the delivery")
			f.record(f.claim("app"), spool.Delivered, time.Time{})
			c.waits(t, "the delay")
			time.Sleep(24 * time.Hour)
			c.ends(t, nil)
		},
		"closing ends every call that waits": func(t *testing.T) {
			f := newFront(t, spool.Options{Retain: time.Hour})
			id := f.take(10)
			f.route("app")
			calls := []*call{
				start(func() error { _, err := f.Next(t.Context()); return err }),
				start(func() error { _, err := f.Due(t.Context(), "lines"); return err }),
				start(func() error { return f.WaitSettlements(t.Context(), "m") }),
				start(func() error { return f.Await(t.Context(), []spool.ID{id}) }),
				start(func() error { return f.Drain(t.Context(), time.Now()) }),
			}
			for _, c := range calls {
				c.waits(t, "anything")
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			for _, c := range calls {
				c.ends(t, spool.ErrClosed)
			}
			if _, err := f.Next(t.Context()); !errors.Is(err, spool.ErrClosed) {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		},
		"a failed sync ends this process's use of the store": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			f.take(10)
			f.route("app")
			c := f.claim("app")
			waiting := start(func() error { _, err := f.Next(t.Context()); return err })
			waiting.waits(t, "a mail")
			f.store.fail(fmt.Errorf("%w: input/output error", spool.ErrFenced))
			m := f.mail(10)
			if _, err := f.Take(t.Context(), m); !errors.Is(err, spool.ErrFenced) {
				t.Errorf("a take: %v", err)
			}
			f.store.fail(nil) // the disk says that all is well again
			waiting.ends(t, spool.ErrFenced)
			if err := f.Record(t.Context(), c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered}); !errors.Is(err, spool.ErrFenced) {
				t.Errorf("a record: %v", err)
			}
			if _, err := f.Status(t.Context()); !errors.Is(err, spool.ErrFenced) {
				t.Errorf("the status: %v", err)
			}
		},
		"an operation the store cannot carry out takes no other with it": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			f.store.fail(errors.New("no room"))
			bad := start(func() error { _, err := f.Take(t.Context(), f.mail(10)); return err })
			synctest.Wait()
			if err := <-bad.done; err == nil {
				t.Fatal("it was taken")
			}
			f.store.fail(nil)
			f.take(10)
		},
		"a change whose caller gives up before it is picked up is not made": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			ctx, cancel := context.WithCancel(t.Context())
			m := f.mail(10)
			cancel()
			if _, err := f.Take(ctx, m); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			fresh, _, err := f.Reconcile(t.Context(), inbox, []string{m.UID}, false, "")
			if err != nil || len(fresh) != 1 {
				t.Errorf("fresh %v, %v", fresh, err)
			}
		},
		"delivered mail is erased after it was retained": func(t *testing.T) {
			f := newFront(t, spool.Options{Retain: time.Hour})
			defer f.Close()
			id := f.take(10)
			f.route("app")
			f.record(f.claim("app"), spool.Delivered, time.Time{})
			erased := func() bool {
				synctest.Wait()
				m, err := f.Show(t.Context(), spool.Target{Item: id})
				if err != nil {
					t.Fatal(err)
				}
				return m.Erased
			}
			time.Sleep(59 * time.Minute)
			if erased() {
				t.Error("erased too early")
			}
			time.Sleep(12 * time.Minute) // it is looked for every ten minutes
			if !erased() {
				t.Error("not erased")
			}
		},
		"retained mail gives way as soon as the quota is passed": func(t *testing.T) {
			f := newFront(t, spool.Options{Retain: 24 * time.Hour, Quota: 10_000})
			defer f.Close()
			for range 30 {
				f.take(1000)
				f.route("app")
				f.record(f.claim("app"), spool.Delivered, time.Time{})
				synctest.Wait()
				st, err := f.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if st.Octets+st.Retained > st.Quota {
					t.Fatalf("%d octets are kept of %d", st.Octets+st.Retained, st.Quota)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, fact) })
	}
}

func TestWindowIsBoundedInOctetsAndMailIsReadBack(t *testing.T) {
	const window, size, n = 1 << 20, 32 << 10, 200 // 6 MiB of mail
	f := newFront(t, spool.Options{Window: window})
	defer f.Close()
	bounded := func(when string, held int64) {
		t.Helper()
		if octets, loaded := f.InWindow(); octets > window+held {
			t.Fatalf("%s: %d octets of %d mails are in memory", when, octets, loaded)
		}
	}
	for range n {
		f.take(size)
		bounded("taking", 0)
	}
	for range n {
		f.route("slow", "fast")
		bounded("routing", 0)
	}
	var last spool.ID
	for range n {
		c := f.claim("fast")
		if c.Item.ID <= last {
			t.Fatalf("mail %d after %d", c.Item.ID, last)
		}
		last = c.Item.ID
		b := make([]byte, size)
		if _, err := c.Item.Octets.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%0*d", size, c.Item.ID); string(b) != want {
			t.Fatalf("mail %d has the octets of another", c.Item.ID)
		}
		f.record(c, spool.Delivered, time.Time{})
		bounded("delivering", 0)
	}
	for range n {
		f.record(f.claim("slow"), spool.Delivered, time.Time{})
	}
	if entries, queued, claims := f.Remembered(); entries+queued+claims != 0 {
		t.Errorf("%d mails, %d deliveries and %d claims are remembered after all was done", entries, queued, claims)
	}
}

func TestMailThatIsHeldStaysReadableWhateverComes(t *testing.T) {
	f := newFront(t, spool.Options{Window: 256 << 10})
	defer f.Close()
	f.take(100 << 10)
	f.route("app")
	c := f.claim("app")
	for range 20 {
		f.take(100 << 10)
		f.route("app")
	}
	b := make([]byte, 100<<10)
	if _, err := c.Item.Octets.ReadAt(b, 0); err != nil {
		t.Error(err)
	}
	f.Release(c)
	if again := f.claim("app"); again.Delivery != c.Delivery {
		t.Error("the first is not the first again")
	}
}

func TestRecordsOfLargeMailKeepNoFilesOpen(t *testing.T) {
	f := newFront(t, spool.Options{Window: 4 << 20})
	defer f.Close()
	for range 30 {
		f.take(600_000) // in a file
	}
	if _, loaded := f.InWindow(); loaded > 20 {
		t.Errorf("%d files are open", loaded)
	}
	for range 30 {
		f.route("app")
		f.record(f.claim("app"), spool.Delivered, time.Time{})
	}
	if entries, _, _ := f.Remembered(); entries != 0 {
		t.Errorf("%d mails are remembered", entries)
	}
}
