package spooltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

// answered records that app has accepted the mail and asked for a reply by desk.
func (r *rig) answered(content string, more ...spool.Errand) *spool.Claim {
	r.t.Helper()
	c := r.claim("app")
	o := r.outcome(c, spool.Delivered)
	o.Errands = append([]spool.Errand{{Sink: "desk", Verb: "reply", Content: json.RawMessage(content)}}, more...)
	r.must(r.Record(r.ctx, c.Item.ID, o))
	return c
}

// give sends a mail through desk.
func (r *rig) give(uid string) spool.ID {
	r.t.Helper()
	id, err := r.Send(r.ctx, uid, bytes.NewReader(text(uid)), spool.Errand{Sink: "desk", Verb: "send", Content: json.RawMessage(`{"to":["a@example.com"]}`)})
	r.must(err)
	return id
}

// said is a delivery's errand in one line.
func said(e *spool.Errand) string {
	if e == nil {
		return "none"
	}
	return strings.TrimSpace(fmt.Sprintf("%s by %s for %s: %s", e.Verb, e.Sink, e.Parent, e.Content))
}

var errands = map[string]func(*testing.T, *rig){
	"what an answer asks for is a delivery of the same mail, in this process and the next": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		parent := r.answered(`{"text":"a"}`, spool.Errand{Sink: "desk", Verb: "forward", Content: json.RawMessage(`{"to":"b"}`)})
		want := map[string]string{
			spool.ErrandID(parent.Delivery, "reply"):   "reply by desk for " + parent.Delivery + `: {"text":"a"}`,
			spool.ErrandID(parent.Delivery, "forward"): "forward by desk for " + parent.Delivery + `: {"to":"b"}`,
		}
		a, b := r.claim("desk"), r.claim("desk")
		r.equal("claimed", map[string]string{a.Delivery: said(a.Errand), b.Delivery: said(b.Errand)}, want)
		r.equal("mail", a.Item.ID, id)
		r.reopen()
		for range 2 {
			c := r.record("desk", spool.Delivered)
			r.equal("claimed", said(c.Errand), want[c.Delivery])
			delete(want, c.Delivery)
		}
		r.idle()
	},
	"a delivery that nobody asked for has no errand": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app", "app/2")
		r.equal("errands", said(r.claim("app").Errand)+" "+said(r.claim("app").Errand), "none none")
	},
	"the mail is settled when what was asked for is done, too": func(t *testing.T, r *rig) {
		r.route(r.add("1"), "app")
		r.answered(`{}`)
		r.equal("due", r.due(), []string(nil))
		r.record("desk", spool.Deferred)
		r.equal("due", r.due(), []string(nil))
		r.clock.Advance(time.Hour)
		r.record("desk", spool.Delivered)
		r.equal("settlements", len(r.due()), 1)
	},
	"a dead reply makes the mail a dead one": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		r.answered(`{}`)
		r.record("desk", spool.Dead)
		r.equal("state", r.show(id).State, spool.Dead)
		n, err := r.Retry(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.equal("retried", n, 1)
		r.equal("errand", said(r.record("desk", spool.Delivered).Errand)[:5], "reply")
		r.equal("state", r.show(id).State, spool.Delivered)
	},
	"an answer given again asks for nothing new, whatever sink it names": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		r.answered(`{"text":"first"}`)
		r.record("desk", spool.Delivered)
		_, err := r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		c := r.claim("app")
		o := r.outcome(c, spool.Delivered)
		o.Errands = []spool.Errand{{Sink: "desk", Verb: "reply", Content: json.RawMessage(`{}`)}, {Sink: "other", Verb: "reply", Content: json.RawMessage(`{}`)}}
		r.must(r.Record(r.ctx, id, o))
		r.idle()
		r.equal("deliveries", len(r.show(id).Deliveries), 2)
	},
	"replay of a mail sends no reply again, replay of the reply does": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		parent := r.answered(`{"text":"a"}`)
		first := r.record("desk", spool.Delivered)
		n, err := r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.equal("due again", n, 1)
		r.record("app", spool.Delivered)
		r.idle()
		n, err = r.Replay(r.ctx, spool.Target{Delivery: spool.ErrandID(parent.Delivery, "reply")})
		r.must(err)
		r.equal("due again", n, 1)
		again := r.record("desk", spool.Delivered)
		r.equal("the same", again.Delivery+said(again.Errand), first.Delivery+said(first.Errand))
		r.equal("settlements", len(r.due()), 1)
	},
	"a reply that was given up is not made anew": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		r.answered(`{}`)
		r.record("desk", spool.Dead)
		_, err := r.Drop(r.ctx, spool.Target{Item: id})
		r.must(err)
		_, err = r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.answered(`{}`)
		r.idle()
	},
	"an answer that is deferred or dead, or asks for what is none, asks for nothing": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		c := r.claim("app")
		good := spool.Errand{Sink: "desk", Verb: "reply", Content: json.RawMessage(`{}`)}
		for _, state := range []spool.State{spool.Deferred, spool.Dead} {
			o := r.outcome(c, state)
			o.Errands = []spool.Errand{good}
			if r.Record(r.ctx, id, o) == nil {
				t.Errorf("%s was recorded with an errand", state)
			}
		}
		for fact, change := range map[string]func(*spool.Errand){
			"no sink":   func(e *spool.Errand) { e.Sink = "" },
			"no verb":   func(e *spool.Errand) { e.Verb = "" },
			"no JSON":   func(e *spool.Errand) { e.Content = json.RawMessage(`{`) },
			"too large": func(e *spool.Errand) { e.Content = json.RawMessage(`"` + strings.Repeat("a", spool.MaxErrand) + `"`) },
		} {
			e := good
			change(&e)
			o := r.outcome(c, spool.Delivered)
			o.Errands = []spool.Errand{e}
			if r.Record(r.ctx, id, o) == nil {
				t.Errorf("%s was recorded", fact)
			}
		}
		r.must(r.Record(r.ctx, id, r.outcome(c, spool.Delivered)))
		r.idle()
	},
	"what was asked for is shown, and listed without its content": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.route(id, "app")
		parent := r.answered(`{"text":"a"}`)
		p, err := r.List(r.ctx, spool.Filter{Sink: "desk"})
		r.must(err)
		r.equal("listed", said(p.Mails[0].Deliveries[1].Errand), "reply by desk for "+parent.Delivery+":")
		r.equal("shown", said(r.show(id).Deliveries[1].Errand), "reply by desk for "+parent.Delivery+`: {"text":"a"}`)
	},
	"the content is erased with the octets, and forgotten with the mail": func(t *testing.T, r *rig) {
		r.restart(func(o *spool.Options) { o.Retain = 0 })
		id := r.add("1")
		r.route(id, "app")
		parent := r.answered(`{"text":"a"}`)
		r.equal("before", said(r.show(id).Deliveries[1].Errand), "reply by desk for "+parent.Delivery+`: {"text":"a"}`)
		r.record("desk", spool.Delivered)
		r.equal("after", said(r.show(id).Deliveries[1].Errand), "reply by desk for "+parent.Delivery+":")
		second := r.add("2")
		r.route(second, "app")
		c := r.answered(`{"text":"b"}`)
		_, err := r.Forget(r.ctx, second)
		r.must(err)
		r.idle()
		to := spool.ErrandTo(c.To, spool.Errand{Sink: "desk", Verb: "reply"})
		if e, err := r.store.Errand(r.ctx, second, to); err == nil {
			t.Errorf("of the forgotten mail there is %s", said(e))
		}
	},
	"what was asked for counts for what is kept, as long as it is": func(t *testing.T, r *rig) {
		kept := func(when string, kept, retained, app, desk int64) {
			t.Helper()
			st := r.status()
			r.equal(when, fmt.Sprint(st.Octets, st.Retained, r.sink("app").Octets, r.sink("desk").Octets, r.sink("lines").Octets), fmt.Sprint(kept, retained, app, desk, app+desk))
		}
		size := int64(len(text("1")))
		id := r.add("1")
		r.route(id, "app", "lines")
		r.equal("app", r.sink("app").Octets, size)
		r.answered(`{"text":"a"}`)
		kept("asked", size+12, 0, 0, size+12)
		r.record("desk", spool.Dead)
		kept("dead", size+12, 0, 0, size+12)
		r.reopen()
		kept("in the next process", size+12, 0, 0, size+12)
		_, err := r.Retry(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.record("desk", spool.Delivered)
		r.record("lines", spool.Delivered)
		kept("delivered", 0, size+12, 0, 0)
		r.clock.Advance(25 * time.Hour)
		r.reopen()
		r.must(r.Drain(r.ctx, r.clock.Now()))
		r.equal("mails", len(r.list(spool.Filter{})), 1)
	},
	"a sink that has the mail and a reply to it waits for both": func(t *testing.T, r *rig) {
		size := int64(len(text("1")))
		r.route(r.add("1"), "app", "desk")
		r.answered(`{}`)
		r.equal("waiting", r.sink("desk").Octets, size+2)
		r.record("desk", spool.Delivered)
		r.equal("one left", r.sink("desk").Octets, size+2)
		r.record("desk", spool.Delivered)
		r.equal("none left", r.sink("desk").Octets, 0)
		r.equal("settlements", len(r.due()), 1)
	},

	"a mail given by a command is delivered once, and nothing of it is settled": func(t *testing.T, r *rig) {
		id := r.give("x@example.com")
		r.equal("given again", r.give("x@example.com"), id)
		r.equal("open", r.sink("desk").Pending, 1)
		r.reopen()
		c := r.claim("desk")
		r.equal("errand", said(c.Errand), `send by desk for : {"to":["a@example.com"]}`)
		r.equal("octets", string(read(t, c.Item.Octets)), string(text("x@example.com")))
		r.must(r.Record(r.ctx, id, r.outcome(c, spool.Delivered)))
		r.idle()
		m := r.show(id)
		r.equal("mail", fmt.Sprint(m.Mailbox, m.Protocol, m.UID, m.State, len(m.Settlements)), "(local)localx@example.comdelivered0")
		r.equal("listed", r.list(spool.Filter{Mailbox: spool.Local}), []spool.ID{id})
		r.equal("given again", r.give("x@example.com"), id)
		r.idle()
		n, err := r.Replay(r.ctx, spool.Target{Item: id})
		r.must(err)
		r.equal("due again", n, 1)
		r.equal("the same", r.record("desk", spool.Delivered).Delivery, c.Delivery)
	},
	"mails given by commands are forgotten 30 days after, once they were delivered": func(t *testing.T, r *rig) {
		first, second := r.give("1@example.com"), r.give("2@example.com")
		r.record("desk", spool.Delivered)
		r.clock.Advance(31 * 24 * time.Hour)
		third := r.give("3@example.com")
		r.equal("there", r.list(spool.Filter{}), []spool.ID{third, second})
		r.equal("not there", first < second, true)
	},
	"mails alike that are given under two names are two": func(t *testing.T, r *rig) {
		a, err := r.Send(r.ctx, "a", bytes.NewReader(text("x")), spool.Errand{Sink: "desk", Verb: "send", Content: json.RawMessage(`{}`)})
		r.must(err)
		b, err := r.Send(r.ctx, "b", bytes.NewReader(text("x")), spool.Errand{Sink: "desk", Verb: "send", Content: json.RawMessage(`{}`)})
		r.must(err)
		one, two := r.record("desk", spool.Delivered), r.record("desk", spool.Delivered)
		r.equal("two", a != b && one.Delivery != two.Delivery, true)
	},
	"what is to do nothing is not sent": func(t *testing.T, r *rig) {
		if _, err := r.Send(r.ctx, "a", bytes.NewReader(text("x")), spool.Errand{Sink: "desk", Content: json.RawMessage(`{}`)}); err == nil {
			t.Error("a mail without a verb was sent")
		}
		r.equal("mails", len(r.list(spool.Filter{})), 0)
	},
}
