package spooltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/postferry/postferry/spool"
)

// send takes a mail of 1,000 octets and routes it; the error is Take's.
func (r *rig) send(mailbox, uid string, sinks ...string) error {
	r.t.Helper()
	m := r.mail(uid, large(uid, 1000))
	m.Mailbox, m.Account = mailbox, mailbox+"@mail.example"
	id, err := r.Take(r.ctx, m)
	if err != nil {
		return err
	}
	r.route(id, sinks...)
	return nil
}

// fill sends until the mailbox is refused, and returns how many were taken.
func (r *rig) fill(mailbox string, sinks ...string) int {
	r.t.Helper()
	for n := range 1000 {
		err := r.send(mailbox, fmt.Sprint("f", n), sinks...)
		if errors.Is(err, spool.ErrFull) {
			return n
		}
		r.must(err)
	}
	r.t.Fatal("the store has no end")
	return 0
}

var filling = map[string]func(*testing.T, *rig){
	"a sink that fills its share pauses the mailboxes that feed it, and no other": func(t *testing.T, r *rig) {
		r.restart(func(o *spool.Options) { o.Quota = 20_000 })
		r.must(r.send("both", "1", "broken", "sound"))
		r.must(r.send("good", "1", "sound"))
		n := r.fill("bad", "broken")
		// The share is what is free: the sink is over it with 10 of the 11 mails that then wait.
		if n < 8 || n > 10 {
			t.Errorf("%d mails were taken for the broken sink", n)
		}
		r.status() // has routings recorded
		var e *spool.FullError
		if err := r.Admit("both"); !errors.As(err, &e) || e.Sink != "broken" {
			t.Errorf("a mailbox that feeds it as well: %v", err)
		}
		r.must(r.Admit("good"))
		r.must(r.Admit("never seen"))
		r.must(r.send("good", "2", "sound"))
		r.reopen()
		if err := r.Admit("bad"); !errors.Is(err, spool.ErrFull) {
			t.Errorf("in the next process: %v", err)
		}
		r.must(r.Admit("good"))
		if r.mailbox("bad").Full == "" || r.mailbox("good").Full != "" {
			t.Errorf("the status does not say so: %+v", r.status())
		}
		r.record("broken", spool.Delivered)
		r.record("broken", spool.Delivered)
		r.record("broken", spool.Delivered)
		r.must(r.Admit("bad"))
		r.must(r.send("bad", "resumed", "broken"))
	},
	"dead mail counts until it is dropped": func(t *testing.T, r *rig) {
		r.restart(func(o *spool.Options) { o.Quota = 20_000 })
		n := r.fill("bad", "broken")
		for range n {
			r.record("broken", spool.Dead)
		}
		if err := r.Admit("bad"); !errors.Is(err, spool.ErrFull) {
			t.Errorf("dead letters: %v", err)
		}
		var all []spool.Target
		for _, id := range r.list(spool.Filter{State: spool.Dead}) {
			all = append(all, spool.Target{Item: id})
		}
		dropped, err := r.Drop(r.ctx, all...)
		r.must(err)
		r.equal("dropped", dropped, n)
		r.must(r.Admit("bad"))
	},
	"mail no route matches pauses its mailbox alone": func(t *testing.T, r *rig) {
		r.restart(func(o *spool.Options) { o.Quota = 20_000 })
		r.must(r.send("good", "1", "sound"))
		r.fill("lost")
		r.must(r.Admit("good"))
		_, err := r.Forget(r.ctx, r.list(spool.Filter{Mailbox: "lost"})...)
		r.must(err)
		r.must(r.Admit("lost"))
		r.equal("octets", r.status().Octets, 1000)
	},
	"retained mail gives way before anything is refused": func(t *testing.T, r *rig) {
		r.restart(func(o *spool.Options) { o.Quota = 10_000 })
		for i := range 30 {
			r.must(r.send("m", fmt.Sprint(i), "sound"))
			r.record("sound", spool.Delivered)
		}
	},
	"a mail larger than what is free is refused, a smaller one is not": func(t *testing.T, r *rig) {
		r.restart(func(o *spool.Options) { o.Quota = 10_000 })
		if _, err := r.Take(r.ctx, r.mail("1", large("a", 10_001))); !errors.Is(err, spool.ErrFull) {
			t.Errorf("taken: %v", err)
		}
		r.equal("known", len(r.reconcile("1")), 1)
		r.take(r.mail("1", large("a", 9_000)))
	},
	"octets are counted by mailbox and sink through every change": func(t *testing.T, r *rig) {
		check := func(when string, support, app, lines, retained int64) {
			t.Helper()
			for range 2 {
				r.equal(when, fmt.Sprint(r.mailbox("support").Octets, r.sink("app").Octets, r.sink("lines").Octets, r.status().Retained), fmt.Sprint(support, app, lines, retained))
				r.reopen()
			}
		}
		id := r.take(r.mail("1", large("a", 1000)))
		check("taken", 1000, 0, 0, 0)
		r.route(id, "app/1", "app/2", "lines")
		check("routed", 1000, 1000, 1000, 0)
		r.record("app", spool.Delivered)
		check("a part delivered", 1000, 1000, 1000, 0)
		r.record("app", spool.Delivered)
		check("both parts delivered", 1000, 0, 1000, 0)
		r.record("lines", spool.Deferred)
		check("deferred", 1000, 0, 1000, 0)
		r.clock.Advance(2 * 60 * 60 * 1e9)
		c := r.record("lines", spool.Dead)
		check("dead", 1000, 0, 1000, 0)
		_, err := r.Retry(r.ctx, spool.Target{Delivery: c.Delivery})
		r.must(err)
		check("retried", 1000, 0, 1000, 0)
		r.record("lines", spool.Delivered)
		check("delivered", 0, 0, 0, 1000)
		_, err = r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		check("replayed", 1000, 1000, 1000, 0)
		r.record("app", spool.Dead)
		r.record("app", spool.Delivered)
		r.record("lines", spool.Delivered)
		check("one dead again", 1000, 1000, 0, 0)
		_, err = r.Drop(r.ctx, spool.Target{Item: id})
		r.must(err)
		check("dropped", 0, 0, 0, 1000)
		r.must(r.store.Commit(r.ctx, []spool.Op{&spool.PurgeOp{Before: r.clock.Now().Add(1), Limit: 9}}))
		r.reopen()
		check("erased", 0, 0, 0, 0)
		id = r.take(r.mail("2", large("b", 1000)))
		r.route(id, "app", "lines")
		r.record("app", spool.Delivered)
		_, err = r.Forget(r.ctx, id)
		r.must(err)
		check("forgotten", 0, 0, 0, 0)
	},
}
