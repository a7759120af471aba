package spooltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

// list is the ids of the mails that pass the filter.
func (r *rig) list(f spool.Filter) []spool.ID {
	r.t.Helper()
	p, err := r.List(r.ctx, f)
	r.must(err)
	ids := []spool.ID{}
	for _, m := range p.Mails {
		ids = append(ids, m.ID)
	}
	return ids
}

var inspecting = map[string]func(*testing.T, *rig){
	"mails are listed by mailbox, state, sink and time": func(t *testing.T, r *rig) {
		states := []spool.State{spool.Delivered, spool.Deferred, spool.Dead}
		var ids []spool.ID
		for i, state := range states { // 1 delivered, 2 deferred, 3 dead
			ids = append(ids, r.add(fmt.Sprint("1/", i)))
			r.route(ids[i], "app")
			r.record("app", state)
			r.clock.Advance(time.Minute)
		}
		ids = append(ids, r.add("1/3"), r.add("1/4"), r.add("1/5")) // 4 pending and held, 5 unrouted, 6 quarantined
		r.route(ids[3], "lines", "held")
		r.must(r.Hold(r.ctx, "held", r.clock.Now(), "x"))
		r.route(ids[4])
		_, err := r.Next(r.ctx)
		r.must(err)
		r.must(r.Route(r.ctx, ids[5], spool.Routing{Quarantine: "y"}))
		other := r.mail("1/6", text("z")) // 7 waits
		other.Mailbox = "sales"
		ids = append(ids, r.take(other))
		for _, c := range []struct {
			name string
			f    spool.Filter
			want []int
		}{
			{"all, the last first", spool.Filter{}, []int{7, 6, 5, 4, 3, 2, 1}},
			{"mailbox", spool.Filter{Mailbox: "sales"}, []int{7}},
			{"no such mailbox", spool.Filter{Mailbox: "nobody"}, nil},
			{"delivered", spool.Filter{State: spool.Delivered}, []int{1}},
			{"deferred", spool.Filter{State: spool.Deferred}, []int{2}},
			{"dead", spool.Filter{State: spool.Dead}, []int{3}},
			{"pending", spool.Filter{State: spool.Pending}, []int{4}},
			{"held", spool.Filter{State: spool.Held}, []int{4}},
			{"unrouted", spool.Filter{State: spool.Unrouted}, []int{5}},
			{"quarantined", spool.Filter{State: spool.Quarantined}, []int{6}},
			{"to route", spool.Filter{State: spool.ToRoute}, []int{7}},
			{"sink", spool.Filter{Sink: "app"}, []int{3, 2, 1}},
			{"sink and state", spool.Filter{Sink: "lines", State: spool.Pending}, []int{4}},
			{"another sink's state", spool.Filter{Sink: "lines", State: spool.Held}, nil},
			{"since", spool.Filter{Since: r.clock.Now()}, []int{7, 6, 5, 4}},
			{"no such state", spool.Filter{State: "?"}, nil},
		} {
			want := []spool.ID{}
			for _, n := range c.want {
				want = append(want, ids[n-1])
			}
			r.equal(c.name, r.list(c.f), want)
		}
		var got []spool.State
		p, err := r.List(r.ctx, spool.Filter{})
		r.must(err)
		for _, m := range p.Mails {
			got = append(got, m.State)
		}
		r.equal("states", got, []spool.State{spool.ToRoute, spool.Quarantined, spool.Unrouted, spool.Held, spool.Dead, spool.Deferred, spool.Delivered})
	},
	"a list goes on where its page ended": func(t *testing.T, r *rig) {
		for i := range 5 {
			r.add(fmt.Sprint(i))
		}
		var sizes []int
		seen := map[spool.ID]bool{}
		f := spool.Filter{Limit: 2}
		for {
			p, err := r.List(r.ctx, f)
			r.must(err)
			sizes = append(sizes, len(p.Mails))
			for _, m := range p.Mails {
				seen[m.ID] = true
			}
			r.add(fmt.Sprint("while listing ", len(sizes)))
			if f.Cursor = p.Next; f.Cursor == "" {
				break
			}
		}
		r.equal("pages and mails", fmt.Sprint(sizes, len(seen)), "[2 2 1] 5")
		if _, err := r.List(r.ctx, spool.Filter{Cursor: "x"}); err == nil {
			t.Error("a cursor that is none was taken")
		}
	},
	"a mail is shown with every attempt": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app", "lines")
		first := r.clock.Now()
		c := r.record("app", spool.Deferred)
		r.clock.Advance(time.Hour)
		r.record("app", spool.Dead)
		r.record("lines", spool.Delivered)
		m := r.show(id)
		r.equal("mail", fmt.Sprint(m.ID, m.Mailbox, m.Protocol, m.Account, m.Box, m.UID, m.Flags, m.Size, m.State, m.Erased, len(m.SHA256)),
			fmt.Sprint(id, "support", "imap", inbox.Account, inbox.Box, "1/1", []string{`\Seen`, "$Junk"}, len(text("1/1")), spool.Dead, false, 64))
		r.equal("settlements", m.Settlements, []spool.Owing{{Action: "flag:$Failed", Due: r.clock.Now()}})
		r.equal("sinks", m.Deliveries[0].Sink+","+m.Deliveries[1].Sink, "app,lines")
		r.equal("attempts", m.Deliveries[0].Attempts, []spool.AttemptInfo{
			{Number: 1, At: first, Duration: time.Second, State: spool.Deferred, Detail: "detail", Answer: "answer", Error: "error"},
			{Number: 2, At: r.clock.Now(), Duration: time.Second, State: spool.Dead, Detail: "detail", Answer: "answer", Error: "error"},
		})
		r.equal("what repeats it", fmt.Sprint(m.TakenUID, " ", string(m.Facts)), "1/1 "+string(c.Item.Facts))
		by, err := r.Show(r.ctx, spool.Target{Delivery: c.Delivery})
		r.must(err)
		r.equal("shown by its delivery", fmt.Sprintf("%+v", by), fmt.Sprintf("%+v", m))
		for _, target := range []spool.Target{{Item: id + 1}, {Delivery: "msg_x"}} {
			if _, err := r.Show(r.ctx, target); !errors.Is(err, spool.ErrUnknown) {
				t.Errorf("%s: %v", target, err)
			}
		}
		plain := r.mail("1/2", text("b"))
		plain.Flags = nil
		b, err := json.Marshal(r.show(r.take(plain)))
		r.must(err)
		for _, empty := range []string{`"flags":[]`, `"deliveries":[]`, `"settlements":[]`} {
			if !bytes.Contains(b, []byte(empty)) {
				t.Errorf("as JSON it has no %s: %s", empty, b)
			}
		}
	},
	"octets of a mail are read for show and replay": func(t *testing.T, r *rig) {
		for i, b := range [][]byte{text("a"), large("b", 1<<20)} {
			id := r.take(r.mail(fmt.Sprint(i), b))
			o, err := r.Octets(r.ctx, id)
			r.must(err)
			if !bytes.Equal(read(t, o), b) {
				t.Error("they are others")
			}
			r.must(o.Close())
		}
		if _, err := r.Octets(r.ctx, 99); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("octets of no mail: %v", err)
		}
	},
	"a dead delivery is retried with its id, and settles the mail when it is delivered": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app", "lines")
		c := r.record("app", spool.Dead)
		r.record("lines", spool.Delivered)
		r.equal("due", r.due(), []string{"flag:$Failed 1/1"})
		n, err := r.Retry(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.equal("retried", n, 1)
		r.equal("due", r.due(), []string(nil)) // it is not dead any more
		r.equal("dead, pending", fmt.Sprint(r.sink("app").Dead, r.sink("app").Pending), "0 1")
		again := r.record("app", spool.Delivered)
		r.equal("delivery, attempts, first", fmt.Sprint(again.Delivery, again.Attempts, again.First.IsZero()), fmt.Sprint(c.Delivery, 1, true))
		r.equal("due", r.due(), []string{"delete 1/1"})
		r.equal("attempts", len(r.show(id).Deliveries[0].Attempts), 2)
		if n, err := r.Retry(r.ctx, spool.Target{Item: id}, spool.Target{Delivery: "msg_x"}, spool.Target{Item: 99}); n != 0 || !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("a retry of nothing dead: %d, %v", n, err)
		}
	},
	"a settlement for a dead mail that was carried out is not asked for again": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app")
		c := r.record("app", spool.Dead)
		due, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.must(r.Settled(r.ctx, []int64{due[0].ID}))
		_, err = r.Retry(r.ctx, spool.Target{Delivery: c.Delivery})
		r.must(err)
		r.record("app", spool.Dead)
		r.equal("due", r.due(), []string(nil))
		_, err = r.Retry(r.ctx, spool.Target{Delivery: c.Delivery})
		r.must(err)
		r.record("app", spool.Delivered)
		r.equal("due", r.due(), []string{"delete 1/1"})
	},
	"a retry in the next process finds its mail": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app")
		r.record("app", spool.Dead)
		r.reopen()
		_, err := r.Retry(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.reopen()
		r.equal("mail", r.record("app", spool.Delivered).Item.ID, id)
	},
	"a delivered mail is replayed with its ids, and settled once": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app", "lines")
		a, b := r.record("app", spool.Delivered), r.record("lines", spool.Delivered)
		due, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.must(r.Settled(r.ctx, []int64{due[0].ID}))
		n, err := r.Replay(r.ctx, spool.Target{Delivery: a.Delivery})
		r.must(err)
		r.equal("replayed", n, 1)
		r.equal("delivery", r.record("app", spool.Dead).Delivery, a.Delivery)
		_, err = r.Retry(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.record("app", spool.Delivered)
		n, err = r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.equal("replayed", n, 2)
		r.equal("deliveries", fmt.Sprint(r.record("app", spool.Delivered).Delivery, r.record("lines", spool.Delivered).Delivery), fmt.Sprint(a.Delivery, b.Delivery))
		r.equal("due", r.due(), []string(nil))
		r.idle()
		r.must(r.store.Commit(r.ctx, []spool.Op{&spool.PurgeOp{Before: r.clock.Now().Add(1), Limit: 1}}))
		if _, err := r.Replay(r.ctx, spool.Target{Item: id}); !errors.Is(err, spool.ErrErased) {
			t.Errorf("a replay of erased mail: %v", err)
		}
	},
	"a mail under replay is not purged": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app")
		r.record("app", spool.Delivered)
		_, err := r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		purge := &spool.PurgeOp{Before: r.clock.Now().Add(1), Limit: 1}
		r.must(r.store.Commit(r.ctx, []spool.Op{purge}))
		r.equal("erased", purge.Erased, 0)
	},
	"unrouted and quarantined mail is routed again": func(t *testing.T, r *rig) {
		a, b := r.add("1/1"), r.add("1/2")
		r.route(a)
		_, err := r.Next(r.ctx)
		r.must(err)
		r.must(r.Route(r.ctx, b, spool.Routing{Quarantine: "x"}))
		c := r.add("1/3") // waits in memory
		n, err := r.Replay(r.ctx, spool.Target{Item: a}, spool.Target{Item: b})
		r.must(err)
		r.equal("replayed", n, 2)
		st := r.mailbox("support")
		r.equal("unrouted, quarantined, to route", fmt.Sprint(st.Unrouted, st.Quarantined, st.ToRoute), "0 0 3")
		seen := map[spool.ID]int{}
		for range 3 {
			i, err := r.Next(r.ctx)
			r.must(err)
			seen[i.ID]++
			r.must(r.Route(r.ctx, i.ID, spool.Routing{To: to("app")}))
		}
		r.equal("routed", seen, map[spool.ID]int{a: 1, b: 1, c: 1})
		for range 3 {
			r.record("app", spool.Delivered)
		}
		r.idle()
	},
	"a dropped delivery is no more, and leaves the mail on its server as it is": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app", "lines")
		r.record("app", spool.Dead)
		r.record("lines", spool.Delivered)
		n, err := r.Drop(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.equal("dropped", n, 1)
		r.equal("due", r.due(), []string{"flag:$Failed 1/1"})
		m := r.show(id)
		r.equal("deliveries, state", fmt.Sprint(len(m.Deliveries), m.State), fmt.Sprint(1, spool.Delivered))
		r.equal("dead", r.sink("app").Dead, 0)
		purge := &spool.PurgeOp{Before: r.clock.Now().Add(1), Limit: 1}
		r.must(r.store.Commit(r.ctx, []spool.Op{purge}))
		r.equal("erased", purge.Erased, 1)
		if n, err := r.Drop(r.ctx, spool.Target{Item: id}); n != 0 || !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("dropped twice: %d, %v", n, err)
		}
	},
	"forgotten mail is erased with all that shows its content, and stays known": func(t *testing.T, r *rig) {
		ids := []spool.ID{r.add("1/0"), r.add("1/1"), r.take(r.mail("1/2", large("1/2", 1<<20))), r.add("1/3"), r.add("1/4"), r.add("1/5")}
		r.route(ids[0], "app")
		r.record("app", spool.Delivered)
		r.route(ids[1], "app", "lines")
		r.record("app", spool.Dead)
		r.route(ids[2], "app")
		r.route(ids[3])
		under := r.claim("lines")
		n, err := r.Forget(r.ctx, append(ids[:5:5], 99)...)
		r.must(err)
		r.equal("forgotten", n, 5)
		if err := r.Record(r.ctx, under.Item.ID, r.outcome(under, spool.Delivered)); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("a record of forgotten mail: %v", err)
		}
		r.Release(under)
		r.route(ids[5]) // the next, since 1/4 is forgotten
		r.idle()
		r.equal("due", r.due(), []string{"delete 1/0"})
		for range 2 {
			for _, id := range ids[:5] {
				if _, err := r.Show(r.ctx, spool.Target{Item: id}); !errors.Is(err, spool.ErrUnknown) {
					t.Errorf("mail %d is shown: %v", id, err)
				}
			}
			r.equal("fresh", r.reconcile("1/0", "1/1", "1/2", "1/3", "1/4", "1/5"), []string(nil))
			st := r.mailbox("support")
			r.equal("taken, to route, unrouted, octets", fmt.Sprint(st.Taken, st.ToRoute, st.Unrouted, st.Octets), fmt.Sprint(1, 0, 1, len(text("1/5"))))
			s := r.sink("app")
			r.equal("app", fmt.Sprint(s.Pending, s.Deferred, s.Delivered, s.Dead, s.Octets), "0 0 0 0 0")
			r.equal("retained", r.status().Retained, 0)
			r.reopen()
		}
		r.equal("listed", r.list(spool.Filter{}), ids[5:])
		r.equal("taken again", r.take(r.mail("1/1", text("1/1"))), ids[1])
		n, err = r.Forget(r.ctx, ids[0])
		r.must(err)
		r.equal("forgotten twice", n, 0)
	},
	"a mail handed out for routing is forgotten": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		_, err := r.Next(r.ctx)
		r.must(err)
		_, err = r.Forget(r.ctx, id)
		r.must(err)
		if r.Route(r.ctx, id, spool.Routing{To: to("app")}) == nil {
			t.Error("it was routed")
		}
		r.idle()
		r.equal("pending", r.sink("app").Pending, 0)
	},
	"mail is forgotten by an address in its header section": func(t *testing.T, r *rig) {
		mails := map[string]string{
			"from":            "From: Ada <ada@mail.example>\r\n\r\n",
			"to, in capitals": "From: x@y.example\r\nTo: <ADA@Mail.Example>\r\n\r\n",
			"folded":          "From: x@y.example\r\nCc: bob@mail.example,\r\n ada@mail.example\r\n\r\n",
			"bare LF":         "Reply-To: ada@mail.example.\n\nbody",
			"body only":       "From: x@y.example\r\n\r\nada@mail.example\r\n",
			"longer local":    "From: nada@mail.example\r\n\r\n",
			"longer domain":   "From: ada@mail.example.org\r\n\r\n",
			"no header":       "",
		}
		for name, m := range mails {
			r.take(r.mail(name, []byte(m)))
		}
		gone, err := r.ForgetAddress(r.ctx, " Ada@mail.example ")
		r.must(err)
		r.equal("forgotten", len(gone), 4)
		p, err := r.List(r.ctx, spool.Filter{})
		r.must(err)
		var left []string
		for _, m := range p.Mails {
			left = append(left, m.UID)
		}
		r.equal("left", sorted(left), []string{"body only", "longer domain", "longer local", "no header"})
		if _, err := r.ForgetAddress(r.ctx, "example.com"); err == nil {
			t.Error("what is no address was taken for one")
		}
	},
	"a store opened for reading is read and not changed": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app")
		r.restart(func(o *spool.Options) { o.ReadOnly, o.Retain = true, 0 })
		r.equal("mail", r.show(id).UID, "1/1")
		r.equal("listed", r.list(spool.Filter{}), []spool.ID{id})
		r.equal("pending", r.sink("app").Pending, 1)
		if _, err := r.Take(r.ctx, r.mail("1/2", text("a"))); !errors.Is(err, spool.ErrReadOnly) {
			t.Errorf("a mail was taken: %v", err)
		}
		if _, err := r.Forget(r.ctx, id); !errors.Is(err, spool.ErrReadOnly) {
			t.Errorf("a mail was forgotten: %v", err)
		}
	},
}
