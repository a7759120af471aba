package spooltest

import (
	"fmt"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

func action(t *testing.T, s string) spool.Action {
	t.Helper()
	if s == "" {
		return spool.Action{}
	}
	a, err := spool.ParseAction(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var settling = map[string]func(*testing.T, *rig){
	"what the server declines hides nothing behind it": func(t *testing.T, r *rig) {
		const most = 1000
		var asked []spool.Action
		for i := range most + 1 {
			asked = append(asked, spool.Action{Verb: spool.Flag, Arg: fmt.Sprint(i)})
		}
		r.route(r.add("1/1"), "app")
		r.record("app", spool.Delivered, asked...)
		first, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.equal("the first time", fmt.Sprint(len(first), first[0].Action), fmt.Sprint(most, asked[0]))
		var ids []int64
		var declined []spool.Decline
		r.clock.Advance(time.Second)
		for _, s := range first {
			ids = append(ids, s.ID)
			declined = append(declined, spool.Decline{ID: s.ID, Again: r.clock.Now()})
		}
		r.must(r.Declined(r.ctx, declined))
		again, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.equal("the next time", fmt.Sprint(len(again), again[0].Action, again[1].Action), fmt.Sprint(most, asked[most], asked[0]))
		r.must(r.WaitSettlements(r.ctx, "support"))
		r.must(r.Settled(r.ctx, append(ids, again[0].ID)))
		r.must(r.Declined(r.ctx, declined)) // they are owed no more
		r.equal("owed", r.mailbox("support").Settlements, 0)
		r.equal("due", r.due(), []string(nil))
	},
	"what the server declines is counted, and due when it is said to be": func(t *testing.T, r *rig) {
		r.route(r.add("1/1"), "app")
		r.record("app", spool.Delivered, spool.Action{Verb: spool.Flag, Arg: "a"}, spool.Action{Verb: spool.Flag, Arg: "b"})
		owed, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.equal("owed at first", fmt.Sprint(len(owed), owed[0].Declined, r.mailbox("support").Declined), "2 0 0")
		for n := range 3 {
			r.must(r.Declined(r.ctx, []spool.Decline{{ID: owed[0].ID, Again: r.clock.Now().Add(time.Hour)}}))
			due, err := r.Settlements(r.ctx, "support")
			r.must(err)
			r.equal("due meanwhile", fmt.Sprint(len(due))+due[0].Action.Arg, "1b")
			r.clock.Advance(time.Hour)
			due, err = r.Settlements(r.ctx, "support")
			r.must(err)
			r.equal("due after an hour", fmt.Sprint(len(due), due[1].Declined)+due[1].Action.Arg, fmt.Sprint(2, n+1)+"a")
			status := r.mailbox("support")
			r.equal("status", fmt.Sprint(status.Settlements, status.Declined), "2 1")
		}
		mail, err := r.Show(r.ctx, spool.Target{Item: owed[0].Item})
		r.must(err)
		r.equal("shown", fmt.Sprint(mail.Settlements[0].Declined, mail.Settlements[1].Declined), "3 0")
		r.must(r.Settled(r.ctx, []int64{owed[0].ID}))
		r.equal("declined and then settled", r.mailbox("support").Declined, 0)
	},
	"what is owed to the server follows from policy, outcomes and answers": func(t *testing.T, r *rig) {
		for i, c := range []struct {
			name          string
			after, failed string
			taken         bool
			outcomes      []spool.State // of the sinks a, b …
			asked         string        // by the last sink
			taking, then  string        // owed after Take, and after the outcomes
		}{
			{name: "delivered", after: "seen", outcomes: []spool.State{spool.Delivered}, then: "seen"},
			{name: "delivered to all", after: "delete", outcomes: []spool.State{spool.Delivered, spool.Delivered}, then: "delete"},
			{name: "one is deferred", after: "delete", outcomes: []spool.State{spool.Delivered, spool.Deferred}},
			{name: "keep asks for nothing", after: "keep", failed: "keep", outcomes: []spool.State{spool.Delivered}},
			{name: "no action asks for nothing", outcomes: []spool.State{spool.Delivered}},
			{name: "one is dead", after: "delete", failed: "move:Failed", outcomes: []spool.State{spool.Dead, spool.Delivered}, then: "move:Failed"},
			{name: "one is dead and failed keeps", after: "delete", failed: "keep", outcomes: []spool.State{spool.Delivered, spool.Dead}},
			{name: "dead and deferred", after: "delete", failed: "flag:$F", outcomes: []spool.State{spool.Dead, spool.Deferred}},
			{name: "an answer overrides", after: "delete", outcomes: []spool.State{spool.Delivered}, asked: "move:Done", then: "move:Done"},
			{name: "an answer overrides with keep", after: "delete", outcomes: []spool.State{spool.Delivered}, asked: "keep"},
			{name: "an answer does not override a dead delivery", after: "delete", failed: "flag:$F", outcomes: []spool.State{spool.Dead, spool.Delivered}, asked: "move:Done", then: "flag:$F"},
			{name: "as soon as taken", after: "delete", taken: true, taking: "delete"},
			{name: "as soon as taken, once", after: "delete", taken: true, outcomes: []spool.State{spool.Delivered}, taking: "delete"},
			{name: "as soon as taken, then an answer", after: "seen", taken: true, outcomes: []spool.State{spool.Delivered}, asked: "flag:$D", taking: "seen", then: "flag:$D"},
		} {
			m := r.mail(fmt.Sprint("1/", i), text(c.name))
			m.Policy = spool.Policy{After: action(t, c.after), Failed: action(t, c.failed), Taken: c.taken}
			id := r.take(m)
			owed := func() (all string) {
				for _, s := range r.show(id).Settlements {
					all += s.Action
				}
				return all
			}
			if got := owed(); got != c.taking {
				t.Errorf("%s: after Take %q is owed; want %q", c.name, got, c.taking)
			}
			due, err := r.Settlements(r.ctx, "support")
			r.must(err)
			for _, s := range due {
				r.must(r.Settled(r.ctx, []int64{s.ID}))
			}
			var sinks []string
			for j := range c.outcomes {
				sinks = append(sinks, fmt.Sprintf("%d-%c", i, 'a'+j))
			}
			r.route(id, sinks...)
			for j, state := range c.outcomes {
				if c.asked != "" && j == len(c.outcomes)-1 {
					r.record(sinks[j], state, action(t, c.asked))
				} else {
					r.record(sinks[j], state)
				}
			}
			if got := owed(); got != c.then {
				t.Errorf("%s: after the outcomes %q is owed; want %q", c.name, got, c.then)
			}
			due, err = r.Settlements(r.ctx, "support")
			r.must(err)
			for _, s := range due {
				r.must(r.Settled(r.ctx, []int64{s.ID}))
			}
		}
	},
	"a delayed settlement is due after its delay": func(t *testing.T, r *rig) {
		m := r.mail("1/1", text("a"))
		m.Policy.Delay = 30 * day
		r.route(r.take(m), "app")
		r.record("app", spool.Delivered)
		at, err := r.store.NextSettlement(r.ctx, "support")
		r.must(err)
		r.equal("next", at, r.clock.Now().Add(30*day))
		r.clock.Advance(30*day - time.Nanosecond)
		r.equal("due", r.due(), []string(nil))
		r.clock.Advance(time.Nanosecond)
		r.reopen()
		r.equal("due", r.due(), []string{"delete 1/1"})
		r.must(r.WaitSettlements(r.ctx, "support"))
	},
	"settlements are due until they are settled, the oldest first": func(t *testing.T, r *rig) {
		for _, uid := range []string{"1/1", "1/2", "1/3"} {
			r.route(r.add(uid), "app")
			r.record("app", spool.Delivered)
			r.clock.Advance(time.Second)
		}
		r.reopen()
		r.equal("due", r.due(), []string{"delete 1/1", "delete 1/2", "delete 1/3"})
		r.equal("settlements", r.mailbox("support").Settlements, 3)
		due, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.must(r.Settled(r.ctx, []int64{due[1].ID, due[0].ID, 1 << 40}))
		r.must(r.Settled(r.ctx, []int64{due[1].ID}))
		r.must(r.Settled(r.ctx, nil))
		r.reopen()
		r.equal("due", r.due(), []string{"delete 1/3"})
		r.equal("settlements", r.mailbox("support").Settlements, 1)
		none, err := r.Settlements(r.ctx, "other")
		r.must(err)
		r.equal("due of another mailbox", len(none), 0)
	},
	"several actions of an answer are all owed": func(t *testing.T, r *rig) {
		r.route(r.add("1/1"), "app")
		r.record("app", spool.Delivered, spool.Action{Verb: spool.Seen}, spool.Action{Verb: spool.Move, Arg: "A:B"})
		r.equal("due", r.due(), []string{"seen 1/1", "move:A:B 1/1"})
	},
	"delivered octets are erased at once, or after they were retained": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.route(id, "app", "lines")
		r.record("app", spool.Delivered)
		c := r.record("lines", spool.Delivered)
		purge := &spool.PurgeOp{Before: r.clock.Now(), Limit: 10}
		r.must(r.store.Commit(r.ctx, []spool.Op{purge}))
		r.equal("erased too early", purge.Erased, 0)
		r.equal("erased", r.show(id).Erased, false)
		purge = &spool.PurgeOp{Before: r.clock.Now().Add(time.Nanosecond), Limit: 10}
		r.must(r.store.Commit(r.ctx, []spool.Op{purge}))
		r.equal("erased", fmt.Sprint(purge.Erased, r.show(id).Erased), "1 true")
		r.restart(func(o *spool.Options) { o.Retain = 0 })
		id = r.take(r.mail("1/2", large("b", 1<<20)))
		r.route(id, "app", "lines")
		r.record("app", spool.Delivered)
		r.equal("erased before the last delivery", r.show(id).Erased, false)
		r.record("lines", spool.Delivered)
		r.equal("erased after it", r.show(id).Erased, true)
		if c.Item == nil {
			t.Error("the claim has no mail")
		}
		r.equal("retained", r.status().Retained, 0)
	},
	"dead, unrouted and quarantined mail is not purged": func(t *testing.T, r *rig) {
		ids := []spool.ID{r.add("1"), r.add("2"), r.add("3")}
		r.route(ids[0], "app")
		r.record("app", spool.Dead)
		r.route(ids[1])
		_, err := r.Next(r.ctx)
		r.must(err)
		r.must(r.Route(r.ctx, ids[2], spool.Routing{Quarantine: "x"}))
		r.clock.Advance(1000 * day)
		purge := &spool.PurgeOp{Before: r.clock.Now(), Limit: 10}
		r.must(r.store.Commit(r.ctx, []spool.Op{purge}))
		r.equal("erased", purge.Erased, 0)
	},
	"a purge erases at most what it is asked to, the oldest first": func(t *testing.T, r *rig) {
		var ids []spool.ID
		for i := range 5 {
			ids = append(ids, r.add(fmt.Sprint(i)))
			r.route(ids[i], "app")
			r.record("app", spool.Delivered)
			r.clock.Advance(time.Second)
		}
		purge := &spool.PurgeOp{Before: r.clock.Now(), Limit: 2}
		r.must(r.store.Commit(r.ctx, []spool.Op{purge}))
		var erased []spool.ID
		for _, id := range ids {
			if r.show(id).Erased {
				erased = append(erased, id)
			}
		}
		r.equal("erased", erased, ids[:2])
	},
}
