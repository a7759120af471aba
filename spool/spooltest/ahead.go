package spooltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/postferry/postferry/spool"
)

// ways are outcomes of a mail's deliveries, each told by what is done with the mail
// once it is routed to app and, where there is one, to lines.
var ways = map[string]func(r *rig, id spool.ID){
	"delivered":      func(r *rig, id spool.ID) { r.record("app", spool.Delivered) },
	"deferred":       func(r *rig, id spool.ID) { r.record("app", spool.Deferred) },
	"dead":           func(r *rig, id spool.ID) { r.record("app", spool.Dead) },
	"with an action": func(r *rig, id spool.ID) { r.record("app", spool.Delivered, spool.Action{Verb: spool.Seen}) },
	"with an errand": func(r *rig, id spool.ID) {
		c := r.claim("app")
		o := r.outcome(c, spool.Delivered)
		o.Errands = []spool.Errand{{Sink: "smtp", Verb: "reply", Content: []byte(`{"text":"Thank you"}`)}}
		r.must(r.Record(r.ctx, id, o))
	},
	"the second sink first": func(r *rig, id spool.ID) {
		r.record("lines", spool.Delivered)
		r.record("app", spool.Delivered)
	},
	"one dead, one delivered": func(r *rig, id spool.ID) {
		r.record("app", spool.Dead)
		r.record("lines", spool.Delivered)
	},
	"released, then delivered": func(r *rig, id spool.ID) {
		r.Release(r.claim("app"))
		r.record("app", spool.Delivered)
	},
}

var routingAhead = map[string]func(*testing.T, *rig){
	"a routing recorded with its outcome leaves what one recorded before it does": func(t *testing.T, r *rig) {
		for name, finish := range ways {
			for _, sinks := range [][]string{{"app"}, {"app", "lines"}, {"app/2"}} {
				if len(sinks) == 1 && (name == "the second sink first" || name == "one dead, one delivered") {
					continue
				}
				policies := []spool.Policy{
					{After: spool.Action{Verb: spool.Delete}, Failed: spool.Action{Verb: spool.Seen}},
					{After: spool.Action{Verb: spool.Delete}, Delay: 3600e9},
					{After: spool.Action{Verb: spool.Seen}, Taken: true},
				}
				if sinks[0] != "app" || len(sinks) > 1 {
					policies = policies[:1]
				}
				for _, policy := range policies {
					for _, retain := range []bool{true, false} {
						if !retain && policy.Taken {
							continue
						}
						left := func(ahead bool) string {
							r := newRig(t, r.open)
							r.ahead = ahead
							if !retain {
								r.restart(func(o *spool.Options) { o.Retain = 0 })
							}
							m := r.mail("1/1", text("one"))
							m.Policy = policy
							id := r.take(m)
							r.route(id, sinks...)
							finish(r, id)
							if ahead {
								r.Close() // as it is recorded
								r.start()
							}
							if r.show(id).State == spool.Delivered && retain {
								_, err := r.Replay(r.ctx, spool.Target{Item: id})
								r.must(err)
								r.record("app", spool.Delivered)
							}
							usage, err := r.store.Usage(r.ctx)
							r.must(err)
							usage = slices.DeleteFunc(usage, func(c spool.Charge) bool {
								return c == spool.Charge{Mailbox: c.Mailbox, Sink: c.Sink} // nothing
							})
							b, err := r.store.Backlog(r.ctx)
							r.must(err)
							st := r.status()
							st.Store = ""
							for i := range st.Mailboxes {
								st.Mailboxes[i].Listed = nil
							}
							shown := r.show(id)
							all, err := json.MarshalIndent([]any{shown, shown.Facts, usage, b, st}, "", " ")
							r.must(err)
							return string(all)
						}
						r.equal(fmt.Sprint(name, sinks, policy, retain), left(true), left(false))
					}
				}
			}
		}
	},
	"a mail whose routing was only ahead is given for routing again, under the same delivery": func(t *testing.T, r *rig) {
		id := r.add("1")
		r.ahead = true
		r.route(id, "app")
		c := r.claim("app")
		r.must(r.store.Close()) // the process ends
		r.start()
		i, err := r.Next(r.ctx)
		r.must(err)
		r.equal("mail", i.ID, id)
		r.must(r.Route(r.ctx, id, spool.Routing{To: to("app")}))
		r.equal("delivery", r.claim("app").Delivery, c.Delivery)
	},
	"the operator sees and changes a mail whose routing is ahead as one that is routed": func(t *testing.T, r *rig) {
		r.ahead = true
		id := r.add("1")
		r.route(id, "app")
		r.equal("state", r.show(id).State, spool.Pending)
		id = r.add("2")
		r.route(id, "app")
		p, err := r.List(r.ctx, spool.Filter{State: spool.Pending})
		r.must(err)
		r.equal("listed", len(p.Mails), 2)
		id = r.add("3")
		r.route(id, "app")
		r.equal("pending", r.sink("app").Pending, 3)
		id = r.add("4")
		r.route(id, "app")
		n, err := r.Forget(r.ctx, id)
		r.must(err)
		r.equal("forgotten", n, 1)
		for range 3 {
			if c := r.record("app", spool.Delivered); c.Item.ID == id {
				t.Error("it was delivered")
			}
		}
		r.idle()
	},
	"a mail forgotten while its delivery is under way is not recorded as delivered": func(t *testing.T, r *rig) {
		r.ahead = true
		id := r.add("1")
		r.route(id, "app")
		c := r.claim("app")
		_, err := r.Forget(r.ctx, id)
		r.must(err)
		if err := r.Record(r.ctx, id, r.outcome(c, spool.Delivered)); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("it was recorded: %v", err)
		}
		r.Release(c)
		r.idle()
		r.equal("delivered, pending", fmt.Sprint(r.sink("app").Delivered, r.sink("app").Pending), "0 0")
	},
	"a mail in order follows those whose routing is ahead": func(t *testing.T, r *rig) {
		r.ahead = true
		r.route(r.add("1"), "app")
		c := r.claim("app")
		id := r.add("2")
		_, err := r.Next(r.ctx)
		r.must(err)
		r.must(r.Route(r.ctx, id, spool.Routing{To: to("lines"), Order: map[string]string{"lines": "a"}}))
		r.must(r.Record(r.ctx, c.Item.ID, r.outcome(c, spool.Delivered)))
		r.record("lines", spool.Delivered)
		r.idle()
	},
	"what no worker takes is recorded by itself": func(t *testing.T, r *rig) {
		r.ahead = true
		id := r.add("1")
		r.route(id, "app")
		r.claim("app")
		for {
			owed, err := r.store.Owed(r.ctx, id)
			r.must(err) // also where it takes too long
			if !owed.Unrouted {
				return
			}
		}
	},
	"of more than a sink's workers take at once nothing is lost": func(t *testing.T, r *rig) {
		r.ahead = true
		const n = 1100
		for i := range n {
			r.add(fmt.Sprint(i))
		}
		for range n {
			i, err := r.Next(r.ctx)
			r.must(err)
			r.must(r.Route(r.ctx, i.ID, spool.Routing{To: to("app")}))
		}
		seen := map[spool.ID]bool{}
		for range n {
			c := r.record("app", spool.Delivered)
			if seen[c.Item.ID] {
				t.Fatalf("mail %d was given twice", c.Item.ID)
			}
			seen[c.Item.ID] = true
		}
		r.idle()
	},
}
