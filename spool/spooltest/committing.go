package spooltest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/postferry/postferry/spool"
)

// nonsense is an operation no store knows.
type nonsense struct{ spool.Op }

var committing = map[string]func(*testing.T, *rig){
	"a batch is stored whole or not at all": func(t *testing.T, r *rig) {
		first := r.add("1/0")
		r.route(first, "app")
		c := r.claim("app")
		before := fmt.Sprintf("%+v", r.status())
		cursor := "cursor"
		take := &spool.TakeOp{Taken: r.mail("1/1", text("a")), At: r.clock.Now()}
		big := &spool.TakeOp{Taken: r.mail("1/2", large("b", 1<<20)), At: r.clock.Now()}
		ops := []spool.Op{
			take, big,
			&spool.RecordOp{ID: first, To: c.To, Outcome: r.outcome(c, spool.Delivered), At: r.clock.Now()},
			&spool.LedgerOp{Box: inbox, Skip: []string{"1/9"}, Baseline: true, Cursor: &cursor},
			&spool.HoldOp{Hold: spool.Hold{Sink: "lines", Reason: "x"}},
			nonsense{},
		}
		if r.store.Commit(r.ctx, ops) == nil {
			t.Fatal("nonsense was stored")
		}
		r.equal("status", fmt.Sprintf("%+v", r.status()), before)
		fresh, firstListing, err := r.Reconcile(r.ctx, inbox, []string{"1/0", "1/1", "1/2", "1/9"}, true, "")
		r.must(err)
		r.equal("fresh, first", fmt.Sprint(fresh, firstListing), "[1/1 1/2 1/9] true")
		r.equal("due", r.due(), []string(nil))
		r.must(r.store.Commit(r.ctx, ops[:5]))
		r.equal("ids", fmt.Sprint(take.ID > first, big.ID > take.ID), "true true")
		r.reopen()
		i, err := r.Next(r.ctx)
		r.must(err)
		r.equal("first mail", string(read(t, i.Octets)), string(text("a")))
		i, err = r.Next(r.ctx)
		r.must(err)
		r.equal("second mail", string(read(t, i.Octets)), string(large("b", 1<<20)))
	},
	"many callers at once get what they asked for": func(t *testing.T, r *rig) {
		const callers, each = 8, 25
		var wg sync.WaitGroup
		for n := range callers {
			wg.Go(func() {
				for k := range each {
					uid := fmt.Sprintf("%d/%d", n, k)
					size := 100
					if k%10 == 0 {
						size = 300 << 10
					}
					o, err := r.Stage(r.ctx, bytes.NewReader(large(uid, size)))
					if err == nil {
						m := spool.Taken{Mailbox: "support", Protocol: "imap", BoxKey: spool.BoxKey{Account: fmt.Sprint(n), Box: "INBOX"}, UID: uid, Octets: o,
							Policy: spool.Policy{After: spool.Action{Verb: spool.Seen}}}
						_, err = r.Take(r.ctx, m)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				for range callers * each / 2 {
					i, err := r.Next(r.ctx)
					if err == nil {
						err = r.Route(r.ctx, i.ID, spool.Routing{To: to("app", "lines")})
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for _, sink := range []string{"app", "lines"} {
			for range 2 {
				wg.Go(func() {
					for range callers * each / 2 {
						c, err := r.Due(r.ctx, sink)
						if err == nil {
							err = r.Record(r.ctx, c.Item.ID, r.outcome(c, spool.Delivered))
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for settled := 0; settled < callers*each; {
				if err := r.WaitSettlements(r.ctx, "support"); err != nil {
					t.Error(err)
					return
				}
				due, err := r.Settlements(r.ctx, "support")
				var ids []int64
				for _, s := range due {
					ids = append(ids, s.ID)
				}
				if err = errors.Join(err, r.Settled(r.ctx, ids)); err != nil {
					t.Error(err)
					return
				}
				settled += len(ids)
			}
		}()
		wg.Wait()
		r.reopen()
		st := r.mailbox("support")
		r.equal("taken, to route, settlements, octets kept", fmt.Sprint(st.Taken, st.ToRoute, st.Settlements, st.Octets), fmt.Sprint(callers*each, 0, 0, 0))
		for _, sink := range []string{"app", "lines"} {
			s := r.sink(sink)
			r.equal("delivered, open, octets", fmt.Sprint(s.Delivered, s.Pending+s.Deferred, s.Octets), fmt.Sprint(callers*each, 0, 0))
		}
		r.idle()
	},
	"what was done is the same when the store is opened again": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app", "lines")
		r.record("app", spool.Delivered)
		r.record("lines", spool.Deferred)
		r.route(r.add("2"), "app")
		r.record("app", spool.Dead)
		r.route(r.add("3"))
		r.add("4")
		r.must(r.Hold(r.ctx, "lines", r.clock.Now(), "x"))
		r.Listed(r.ctx, "support", nil)
		see := func() string {
			p, err := r.List(r.ctx, spool.Filter{})
			r.must(err)
			return fmt.Sprintf("%+v %+v %v", p, r.status(), r.due())
		}
		before := see()
		r.reopen()
		r.equal("all of it", see(), before)
	},
	"a store that is open has no second owner": func(t *testing.T, r *rig) {
		if s, err := r.open(r.ctx, r.dir); !errors.Is(err, spool.ErrLocked) {
			t.Errorf("a second one: %v, %v", s, err)
		}
		r.must(r.Close())
		s, err := r.open(r.ctx, r.dir)
		r.must(err)
		r.must(s.Close())
	},
}
