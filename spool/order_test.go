package spool_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// told is a store that calls committed when a commit with a routing is durable and
// nobody knows yet.
type told struct {
	spool.Store
	committed func()
}

func (s *told) Commit(ctx context.Context, ops []spool.Op) error {
	err := s.Store.Commit(ctx, ops)
	for _, op := range ops {
		if _, ok := op.(*spool.RouteOp); ok && s.committed != nil {
			s.committed()
		}
	}
	return err
}

func TestOrder(t *testing.T) {
	for name, fact := range map[string]func(*testing.T){
		"a delivery read back before memory was told of it is claimed once": func(t *testing.T) {
			for claimed := range 3 {
				path := filepath.Join(t.TempDir(), "spool.db")
				open := func() (*front, *told) {
					store, err := sqlite.Open(t.Context(), path)
					if err != nil {
						t.Fatal(err)
					}
					f, s := &front{t: t, n: 10}, &told{Store: store}
					if f.Spool, err = spool.Open(t.Context(), s, spool.Options{}); err != nil {
						t.Fatal(err)
					}
					return f, s
				}
				f, _ := open()
				f.take(10)
				f.route("app")
				f.Close()
				f, s := open() // the first delivery is in the store only
				f.n = 20
				f.take(10)
				var claims []*spool.Claim
				s.committed = func() {
					for range claimed {
						claims = append(claims, f.claim("app"))
					}
				}
				f.route("app")
				for range 2 - claimed {
					claims = append(claims, f.claim("app"))
				}
				third := start(func() error { _, err := f.Due(t.Context(), "app"); return err })
				third.waits(t, "a third delivery, there being two")
				for _, c := range claims {
					f.record(c, spool.Delivered, time.Time{})
				}
				f.Close()
				third.ends(t, spool.ErrClosed)
				if entries, queued, _ := f.Remembered(); entries+queued != 0 {
					t.Errorf("%d claimed early: %d mails and %d deliveries are remembered", claimed, entries, queued)
				}
			}
		},
		"what waits for its line is not in memory": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			for range 100 {
				f.take(10)
				f.inOrder("app")
			}
			if entries, queued, _ := f.Remembered(); entries != 1 || queued != 1 {
				t.Errorf("%d mails and %d deliveries are", entries, queued)
			}
			f.record(f.claim("app"), spool.Delivered, time.Time{})
			if entries, queued, _ := f.Remembered(); entries != 1 || queued != 1 {
				t.Errorf("then %d mails and %d deliveries are", entries, queued)
			}
		},
		"a mail's turn comes when the one before is on its way to the store": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			a, b, c := f.take(10), f.take(10), f.take(10)
			for range 3 {
				if _, err := f.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			turn := start(func() error { return f.Turn(t.Context(), c) })
			turn.waits(t, "those before it")
			durable := make(chan struct{})
			f.store.before(func() { <-durable })
			first := start(func() error { return f.Route(t.Context(), a, spool.Routing{}) })
			turn.waits(t, "the second")
			second := start(func() error { return f.Route(t.Context(), b, orderly("app")) })
			turn.ends(t, nil)
			third := start(func() error { return f.Route(t.Context(), c, orderly("app")) })
			third.waits(t, "the disk")
			close(durable)
			for _, routed := range []*call{first, second, third} {
				routed.ends(t, nil)
			}
			for _, id := range []spool.ID{b, c} {
				claim := f.claim("app")
				if claim.Item.ID != id {
					t.Errorf("mail %d in place of %d", claim.Item.ID, id)
				}
				f.record(claim, spool.Delivered, time.Time{})
			}
		},
		"a mail whose predecessor was not recorded gets no place before it": func(t *testing.T) {
			f := newFront(t, spool.Options{})
			defer f.Close()
			a, b := f.take(10), f.take(10)
			for range 2 {
				if _, err := f.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			f.store.fail(spool.ErrFull)
			failed := start(func() error { return f.Route(t.Context(), a, orderly("app")) })
			failed.ends(t, spool.ErrFull)
			f.store.fail(nil)
			turn := start(func() error { return f.Turn(t.Context(), b) })
			turn.waits(t, "the first")
			early := start(func() error { return f.Route(t.Context(), b, orderly("app")) })
			early.ends(t, spool.ErrBehind)
			start(func() error { return f.Route(t.Context(), a, orderly("app")) }).ends(t, nil)
			turn.ends(t, nil)
			start(func() error { return f.Route(t.Context(), b, orderly("app")) }).ends(t, nil)
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, fact) })
	}
}

// inOrder routes the next mail to the sinks, all in one line.
func (f *front) inOrder(sinks ...string) {
	f.t.Helper()
	i, err := f.Next(f.t.Context())
	if err == nil {
		err = f.Turn(f.t.Context(), i.ID)
	}
	if err == nil {
		err = f.Route(f.t.Context(), i.ID, orderly(sinks...))
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func orderly(sinks ...string) spool.Routing {
	r := spool.Routing{Order: map[string]string{}}
	for _, s := range sinks {
		r.To = append(r.To, spool.To{Sink: s})
		r.Order[s] = ""
	}
	return r
}
