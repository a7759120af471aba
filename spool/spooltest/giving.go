package spooltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

var giving = map[string]func(*testing.T, *rig){
	"what was done of a delivery is told at the next attempt, in the next process and after a retry too": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		attempt := func(was, leaves string, state spool.State) {
			t.Helper()
			c := r.claim("app")
			r.equal("progress", c.Progress, was)
			o := r.outcome(c, state)
			o.Progress = leaves
			r.must(r.Record(r.ctx, id, o))
			r.clock.Advance(time.Hour)
		}
		attempt("", "a", spool.Deferred)
		attempt("a", "ab", spool.Deferred)
		r.reopen()
		attempt("ab", "abc", spool.Dead)
		_, err := r.Retry(r.ctx, spool.Target{Item: id})
		r.must(err)
		attempt("abc", "abcd", spool.Dead)
		r.reopen()
		_, err = r.Retry(r.ctx, spool.Target{Item: id})
		r.must(err)
		attempt("abcd", "all", spool.Delivered)
		_, err = r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		attempt("", "", spool.Delivered)
	},
	"progress is bounded": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		o := r.outcome(r.claim("app"), spool.Deferred)
		o.Progress = strings.Repeat("x", spool.MaxProgress+1)
		if err := r.Record(r.ctx, id, o); err == nil {
			t.Error("it was recorded")
		}
		o.Progress = o.Progress[1:]
		r.must(r.Record(r.ctx, id, o))
	},
	"mail is given for routing in the order taken, in the next process too": func(t *testing.T, r *rig) {
		ids := []spool.ID{r.add("1"), r.add("2"), r.add("3")}
		r.route(ids[0])
		r.reopen()
		r.route(ids[1])
		r.route(ids[2])
		r.idle()
	},
	"a routing is final and is recorded once": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		if err := r.Route(r.ctx, id, spool.Routing{To: to("lines")}); !errors.Is(err, spool.ErrRouted) {
			t.Errorf("a second routing: %v", err)
		}
		r.reopen()
		if err := r.Route(r.ctx, id, spool.Routing{}); !errors.Is(err, spool.ErrRouted) {
			t.Errorf("a second routing in the next process: %v", err)
		}
		if err := r.Route(r.ctx, id+1, spool.Routing{}); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("routing of no mail: %v", err)
		}
		c := r.claim("app")
		r.equal("facts", string(c.Item.Facts), "facts")
		r.equal("pending", r.sink("lines").Pending, 0)
	},
	"a mail handed out for routing that another routed holds nothing up": func(t *testing.T, r *rig) {
		id := r.add("1")
		_, err := r.Next(r.ctx)
		r.must(err)
		r.must(r.store.Commit(r.ctx, []spool.Op{&spool.RouteOp{ID: id, At: r.clock.Now()}}))
		if err := r.Route(r.ctx, id, spool.Routing{}); !errors.Is(err, spool.ErrRouted) {
			t.Fatal(err)
		}
		r.idle()
	},
	"a sink named twice gets one delivery, a part of its own another": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app", "app", "app/2")
		r.equal("pending", r.sink("app").Pending, 2)
		a, b := r.record("app", spool.Delivered), r.record("app", spool.Delivered)
		r.equal("parts", a.Part+","+b.Part, ",2")
		r.idle()
	},
	"mail no route matches and quarantined mail is shown and not settled": func(t *testing.T, r *rig) {
		r.route(r.add("1"))
		id := r.add("2")
		_, err := r.Next(r.ctx)
		r.must(err)
		r.must(r.Route(r.ctx, id, spool.Routing{Quarantine: "it could not be read", To: nil}))
		r.reopen()
		st := r.mailbox("support")
		r.equal("unrouted, quarantined, to route, settlements", fmt.Sprint(st.Unrouted, st.Quarantined, st.ToRoute, st.Settlements), "1 1 0 0")
		r.equal("due", r.due(), []string(nil))
		r.equal("reason", r.show(id).Reason, "it could not be read")
		r.idle()
	},
	"deliveries are claimed in the order of their due times": func(t *testing.T, r *rig) {
		var want, got []spool.ID
		for i := range 4 {
			id := r.add(fmt.Sprint(i))
			r.route(id, "app")
		}
		for i := range 4 { // due again in reverse
			c := r.claim("app")
			o := r.outcome(c, spool.Deferred)
			o.Next = r.clock.Now().Add(time.Duration(10-i) * time.Minute)
			r.must(r.Record(r.ctx, c.Item.ID, o))
			want = append([]spool.ID{c.Item.ID}, want...)
		}
		r.idle()
		r.reopen()
		r.idle()
		r.clock.Advance(11 * time.Minute)
		for range 4 {
			c := r.record("app", spool.Delivered)
			got = append(got, c.Item.ID)
			r.equal("attempts", c.Attempts, 1)
		}
		r.equal("order", got, want)
	},
	"a deferred delivery is not due before its time": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app")
		first := r.clock.Now()
		c := r.record("app", spool.Deferred)
		r.clock.Advance(time.Hour - time.Nanosecond)
		r.idle()
		r.clock.Advance(time.Nanosecond)
		again := r.claim("app")
		r.equal("delivery, attempts, first", fmt.Sprint(again.Delivery, again.Attempts, again.First), fmt.Sprint(c.Delivery, 1, first))
	},
	"claims are not stored": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app")
		c := r.claim("app")
		r.reopen()
		r.equal("delivery", r.claim("app").Delivery, c.Delivery)
	},
	"what is not claimed is not recorded": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app", "lines")
		c := r.claim("app")
		for name, o := range map[string]spool.Outcome{
			"another delivery":     {Delivery: "msg_x", State: spool.Delivered},
			"no outcome":           {Delivery: c.Delivery, State: spool.Pending},
			"deferred for no time": {Delivery: c.Delivery, State: spool.Deferred},
		} {
			if r.Record(r.ctx, id, o) == nil {
				t.Errorf("%s was recorded", name)
			}
		}
		if err := r.Record(r.ctx, id+1, r.outcome(c, spool.Delivered)); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("another mail: %v", err)
		}
		r.must(r.Record(r.ctx, id, r.outcome(c, spool.Delivered)))
		if err := r.Record(r.ctx, id, r.outcome(c, spool.Delivered)); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("twice: %v", err)
		}
	},
	"a record the store does not know says so and harms no other of its batch": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		c := r.claim("app")
		good := &spool.RecordOp{ID: id, To: c.To, Outcome: r.outcome(c, spool.Delivered), At: r.clock.Now()}
		r.status() // has the routing recorded
		bad := &spool.RecordOp{ID: id + 9, To: c.To, Outcome: r.outcome(c, spool.Delivered), At: r.clock.Now()}
		r.must(r.store.Commit(r.ctx, []spool.Op{bad, good}))
		r.equal("errors", fmt.Sprint(bad.Err, good.Err), fmt.Sprint(spool.ErrUnknown, nil))
	},
	"a drain waits for what was routed after the moment it was given": func(t *testing.T, r *rig) {
		until := r.clock.Now()
		r.clock.Advance(time.Second)
		r.route(r.add("1"), "app")
		ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
		defer cancel()
		if err := r.Drain(ctx, until); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain with a delivery that is due: %v", err)
		}
		r.record("app", spool.Delivered)
		r.must(r.Drain(r.ctx, until))
	},
	"a held sink keeps its deliveries, gives one probe, and is held in the next process": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app", "lines")
		r.route(r.add("2"), "app")
		r.must(r.Hold(r.ctx, "app", r.clock.Now().Add(time.Hour), "it answered 401"))
		r.record("lines", spool.Delivered)
		r.must(r.Drain(r.ctx, r.clock.Now()))
		r.reopen()
		r.must(r.Drain(r.ctx, r.clock.Now()))
		st := r.sink("app")
		r.equal("held, probe, pending", fmt.Sprint(st.Held, st.ProbeAt, st.Pending), fmt.Sprint("it answered 401", r.clock.Now().Add(time.Hour), 2))
		r.clock.Advance(time.Hour)
		c := r.claim("app")
		r.equal("probe", c.Probe, true)
		r.must(r.Hold(r.ctx, "app", r.clock.Now().Add(time.Hour), "again"))
		o := r.outcome(c, spool.Deferred)
		o.Next = r.clock.Now()
		r.must(r.Record(r.ctx, c.Item.ID, o))
		r.must(r.Drain(r.ctx, r.clock.Now()))
		r.must(r.Resume(r.ctx, "app"))
		r.equal("probe", r.record("app", spool.Delivered).Probe, false)
		r.record("app", spool.Delivered)
		r.must(r.Resume(r.ctx, "app")) // of a sink that is not held
		r.reopen()
		r.equal("held", r.sink("app").Held, "")
	},
	"a sink that is held before it had mail is shown": func(t *testing.T, r *rig) {
		r.must(r.Hold(r.ctx, "app", r.clock.Now(), "it is gone"))
		r.equal("held", r.sink("app").Held, "it is gone")
	},
	"the backlog names the sinks with open deliveries and when the first is due": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app", "lines", "bucket")
		r.record("bucket", spool.Delivered)
		r.record("lines", spool.Deferred)
		b, err := r.store.Backlog(r.ctx)
		r.must(err)
		r.equal("unrouted", b.Unrouted, false)
		r.equal("sinks", b.Sinks, map[string]time.Time{"app": r.clock.Now(), "lines": r.clock.Now().Add(time.Hour)})
		r.add("2")
		b, err = r.store.Backlog(r.ctx)
		r.must(err)
		r.equal("unrouted", b.Unrouted, true)
	},
	"more deliveries than are queued in memory are all delivered once, by several workers": func(t *testing.T, r *rig) {
		const n = 3000
		var ops []spool.Op
		for i := range n {
			ops = append(ops, &spool.TakeOp{Taken: r.mail(fmt.Sprint(i), text(fmt.Sprint(i))), At: r.clock.Now()})
		}
		r.must(r.store.Commit(r.ctx, ops))
		r.reopen()
		for range n {
			i, err := r.Next(r.ctx)
			r.must(err)
			go r.Route(r.ctx, i.ID, spool.Routing{To: to("app")})
		}
		var mu sync.Mutex
		seen := map[string]bool{}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					mu.Lock()
					if len(seen) == n {
						mu.Unlock()
						return
					}
					mu.Unlock()
					c, err := r.Due(r.ctx, "app")
					if err != nil {
						return // the last one wakes the others by closing
					}
					mu.Lock()
					if seen[c.Delivery] {
						t.Errorf("%s was claimed twice", c.Delivery)
					}
					seen[c.Delivery] = true
					last := len(seen) == n
					mu.Unlock()
					if err := r.Record(r.ctx, c.Item.ID, r.outcome(c, spool.Delivered)); err != nil {
						t.Error(err)
						return
					}
					if last {
						r.Close()
					}
				}
			})
		}
		wg.Wait()
		r.start()
		r.equal("delivered", r.sink("app").Delivered, n)
		r.idle()
	},
}
