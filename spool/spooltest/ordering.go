package spooltest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

// inOrder routes the next mail, which has to be id, to the sink under the key.
func (r *rig) inOrder(id spool.ID, key string, sinks ...string) {
	r.t.Helper()
	i, err := r.Next(r.ctx)
	r.must(err)
	r.equal("next mail", i.ID, id)
	r.must(r.Turn(r.ctx, id))
	r.must(r.Route(r.ctx, id, ordered(key, sinks...)))
}

// ordered is a routing with every sink in it keeping order.
func ordered(key string, sinks ...string) spool.Routing {
	g := spool.Routing{To: to(sinks...), Facts: []byte("facts"), Order: map[string]string{}}
	for _, t := range g.To {
		g.Order[t.Sink] = key
	}
	return g
}

// line routes n new mails under one key.
func (r *rig) line(key string, n int) (ids []spool.ID) {
	r.t.Helper()
	for i := range n {
		id := r.add(fmt.Sprint(key, i))
		r.inOrder(id, key, "app")
		ids = append(ids, id)
	}
	return ids
}

// ends claims the sink's next delivery, which has to be the mail's, and records
// what it came to.
func (r *rig) ends(sink string, id spool.ID, state spool.State) *spool.Claim {
	r.t.Helper()
	c := r.record(sink, state)
	r.equal("mail", c.Item.ID, id)
	return c
}

var ordering = map[string]func(*testing.T, *rig){
	"of a line one delivery is due, and the next once it was delivered or is dead": func(t *testing.T, r *rig) {
		ids := r.line("a", 4)
		for n, state := range []spool.State{spool.Delivered, spool.Dead, spool.Delivered, spool.Delivered} {
			r.reopen()
			r.equal("pending, behind", fmt.Sprint(r.sink("app").Pending, r.sink("app").Behind), fmt.Sprint(4-n, 3-n))
			c := r.claim("app")
			r.equal("mail", c.Item.ID, ids[n])
			for _, id := range ids[n+1:] {
				d := r.show(id).Deliveries[0]
				r.equal("state, due, behind", fmt.Sprint(d.State, d.Due, d.Behind), fmt.Sprint(spool.Pending, (*time.Time)(nil), ids[n]))
			}
			r.must(r.Record(r.ctx, c.Item.ID, r.outcome(c, state)))
		}
		r.idle()
		r.equal("pending, behind", fmt.Sprint(r.sink("app").Pending, r.sink("app").Behind), "0 0")
	},
	"a deferred delivery keeps those behind it and no other line, in the next process too": func(t *testing.T, r *rig) {
		a, b := r.line("a", 2), r.line("b", 1)
		r.ends("app", a[0], spool.Deferred)
		r.ends("app", b[0], spool.Delivered)
		r.idle()
		r.reopen()
		r.idle()
		r.clock.Advance(time.Hour)
		r.ends("app", a[0], spool.Delivered)
		r.ends("app", a[1], spool.Delivered)
		r.idle()
	},
	"a sink that keeps no order, and the mail of another account, wait for nothing": func(t *testing.T, r *rig) {
		first := r.add("1")
		r.inOrder(first, "a", "app")
		m := r.mail("2", text("2"))
		m.Account = "charles@mail.example"
		other := r.take(m)
		r.inOrder(other, "a", "app")
		third := r.add("3")
		i, err := r.Next(r.ctx)
		r.must(err)
		r.must(r.Route(r.ctx, i.ID, spool.Routing{To: to("app", "lines"), Order: map[string]string{"app": "a"}}))
		r.ends("lines", third, spool.Delivered)
		claims := []*spool.Claim{r.claim("app"), r.claim("app")}
		r.equal("claimed", []spool.ID{claims[0].Item.ID, claims[1].Item.ID}, []spool.ID{first, other})
		r.equal("behind", r.sink("app").Behind, 1)
		r.must(r.Record(r.ctx, first, r.outcome(claims[0], spool.Delivered)))
		r.ends("app", third, spool.Delivered)
	},
	"deliveries of one mail to one line go one at a time": func(t *testing.T, r *rig) {
		id, next := r.add("1"), r.add("2")
		r.inOrder(id, "a", "app/1", "app/2")
		r.inOrder(next, "a", "app")
		r.equal("behind", r.sink("app").Behind, 2)
		r.equal("part", r.ends("app", id, spool.Delivered).Part, "1")
		r.equal("part", r.ends("app", id, spool.Delivered).Part, "2")
		r.ends("app", next, spool.Delivered)
		r.idle()
	},
	"forgetting the first of a line lets the next go, forgetting another nothing": func(t *testing.T, r *rig) {
		ids := r.line("a", 5)
		forget := func(ids ...spool.ID) {
			n, err := r.Forget(r.ctx, ids...)
			r.must(err)
			r.equal("forgotten", n, len(ids))
		}
		forget(ids[1])
		r.equal("behind", r.sink("app").Behind, 3)
		forget(ids[0], ids[2])
		r.equal("pending, behind", fmt.Sprint(r.sink("app").Pending, r.sink("app").Behind), "2 1")
		c := r.claim("app")
		r.equal("mail", c.Item.ID, ids[3])
		forget(ids[3]) // while it is under way
		r.Release(c)
		r.ends("app", ids[4], spool.Delivered)
		r.idle()
		r.equal("behind", r.sink("app").Behind, 0)
	},
	"a delivery that is retried or replayed stands in no line": func(t *testing.T, r *rig) {
		ids := r.line("a", 3)
		r.ends("app", ids[0], spool.Dead)
		r.ends("app", ids[1], spool.Delivered)
		c := r.claim("app")
		r.equal("mail", c.Item.ID, ids[2])
		for _, again := range []func() (int, error){
			func() (int, error) { return r.Retry(r.ctx, spool.Target{Item: ids[0]}) },
			func() (int, error) { return r.Replay(r.ctx, spool.Target{Item: ids[1]}) },
		} {
			n, err := again()
			r.must(err)
			r.equal("again", n, 1)
		}
		r.ends("app", ids[0], spool.Deferred)
		next := r.line("b", 1) // of another line; and one of this line:
		last := r.add("last")
		r.inOrder(last, "a", "app")
		r.ends("app", ids[1], spool.Delivered)
		r.ends("app", next[0], spool.Delivered)
		r.equal("behind", r.show(last).Deliveries[0].Behind, ids[2])
		r.must(r.Record(r.ctx, c.Item.ID, r.outcome(c, spool.Delivered)))
		r.ends("app", last, spool.Delivered)
		r.clock.Advance(time.Hour)
		r.ends("app", ids[0], spool.Delivered)
		r.idle()
	},
	"no mail gets its place before one of the account that was taken earlier": func(t *testing.T, r *rig) {
		ids := []spool.ID{r.add("1"), r.add("2")}
		for range ids {
			_, err := r.Next(r.ctx)
			r.must(err)
		}
		if err := r.Route(r.ctx, ids[1], ordered("a", "app")); !errors.Is(err, spool.ErrBehind) {
			t.Fatalf("it got its place: %v", err)
		}
		r.equal("to route, pending", fmt.Sprint(r.mailbox("support").ToRoute, r.sink("app").Pending), "2 0")
		r.must(r.Route(r.ctx, ids[0], spool.Routing{Quarantine: "it could not be read"}))
		r.must(r.Route(r.ctx, ids[1], ordered("a", "app")))
		r.ends("app", ids[1], spool.Delivered)
		r.idle()
	},
	"a mail given back unrouted is given again, in its turn": func(t *testing.T, r *rig) {
		ids := []spool.ID{r.add("1"), r.add("2"), r.add("3")}
		var items []*spool.Item
		for range 2 {
			i, err := r.Next(r.ctx)
			r.must(err)
			items = append(items, i)
		}
		r.Return(items[0])
		r.Return(items[0]) // is given back once
		if err := r.Turn(r.ctx, ids[1]); !errors.Is(err, spool.ErrBehind) {
			t.Errorf("the turn of the second: %v", err)
		}
		r.Return(items[1])
		for _, id := range ids {
			r.inOrder(id, "a", "app")
		}
		for _, id := range ids {
			r.ends("app", id, spool.Delivered)
		}
		r.idle()
	},
	"a mail that is routed again is given before those that wait": func(t *testing.T, r *rig) {
		first := r.add("1")
		r.route(first)
		ids := []spool.ID{r.add("2"), r.add("3")}
		_, err := r.Replay(r.ctx, spool.Target{Item: first})
		r.must(err)
		for _, id := range append([]spool.ID{first}, ids...) {
			r.inOrder(id, "a", "app")
		}
		for _, id := range append([]spool.ID{first}, ids...) {
			r.ends("app", id, spool.Delivered)
		}
		r.idle()
	},
	"what waits for its line is not waited for, and draining goes on through a line": func(t *testing.T, r *rig) {
		ids := r.line("a", 3)
		r.ends("app", ids[0], spool.Deferred)
		r.must(r.Drain(r.ctx, r.clock.Now()))
		r.must(r.Await(r.ctx, ids))
		r.clock.Advance(time.Hour)
		ctx, stop := context.WithCancel(r.ctx)
		defer stop()
		worked := make(chan error, 1)
		go func() {
			for {
				c, err := r.Due(ctx, "app")
				if err == nil {
					err = r.Record(r.ctx, c.Item.ID, r.outcome(c, spool.Delivered))
				}
				if err != nil {
					worked <- err
					return
				}
			}
		}()
		r.must(r.Await(r.ctx, ids))
		r.must(r.Drain(r.ctx, r.clock.Now()))
		r.equal("delivered", r.sink("app").Delivered, 3)
		stop()
		if err := <-worked; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	},
	"mails whose takes were begun one after the other are given in that order": func(t *testing.T, r *rig) {
		var waits []func() (spool.ID, error)
		for n := range 50 {
			waits = append(waits, r.Begin(r.ctx, r.mail(fmt.Sprint(n), text(fmt.Sprint(n)))))
		}
		var last spool.ID
		for n := len(waits) - 1; n >= 0; n-- { // whoever waits first
			id, err := waits[n]()
			r.must(err)
			if last != 0 && id >= last {
				t.Fatalf("mail %d is %d, the one after it %d", n, id, last)
			}
			last = id
		}
		for n := range 50 {
			i, err := r.Next(r.ctx)
			r.must(err)
			r.equal("uid", i.UID, n)
			r.must(r.Route(r.ctx, i.ID, spool.Routing{}))
		}
	},
}
