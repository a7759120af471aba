package spooltest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

var week = spool.Note{Key: "once:ada", For: 7 * 24 * time.Hour, Most: 1}

// remember asks for notes, and gives "kept", or which was refused and for how long.
func (r *rig) remember(sink, delivery string, notes ...spool.Note) string {
	r.t.Helper()
	refused, err := r.Remember(r.ctx, sink, delivery, notes...)
	r.must(err)
	if refused == nil {
		return "kept"
	}
	return fmt.Sprintf("%d refused for %s", refused.Note, refused.Wait)
}

var remembering = map[string]func(*testing.T, *rig){
	"a note has its place until it expires, in the next process too": func(t *testing.T, r *rig) {
		r.equal("the first", r.remember("desk", "msg_1", week), "kept")
		r.clock.Advance(24 * time.Hour)
		r.equal("another", r.remember("desk", "msg_2", week), "0 refused for 144h0m0s")
		r.reopen()
		r.equal("another, in the next process", r.remember("desk", "msg_2", week), "0 refused for 144h0m0s")
		r.clock.Advance(6*24*time.Hour - time.Nanosecond)
		r.equal("another, just before", r.remember("desk", "msg_2", week), "0 refused for 1ns")
		r.clock.Advance(time.Nanosecond)
		r.equal("another, then", r.remember("desk", "msg_2", week), "kept")
	},
	"a delivery finds its own note at every attempt, and does not prolong it": func(t *testing.T, r *rig) {
		r.equal("the first attempt", r.remember("desk", "msg_1", week), "kept")
		r.clock.Advance(6 * 24 * time.Hour)
		r.equal("a later one", r.remember("desk", "msg_1", week), "kept")
		r.clock.Advance(24 * time.Hour)
		r.equal("another delivery", r.remember("desk", "msg_2", week), "kept")
		r.equal("the first again", r.remember("desk", "msg_1", week), "0 refused for 168h0m0s")
	},
	"sinks and keys are counted apart": func(t *testing.T, r *rig) {
		other := week
		other.Key = "once:bob"
		r.equal("one", r.remember("desk", "msg_1", week), "kept")
		r.equal("another sink", r.remember("sales", "msg_2", week), "kept")
		r.equal("another key", r.remember("desk", "msg_3", other), "kept")
	},
	"a note has as many places as it says": func(t *testing.T, r *rig) {
		n := spool.Note{Key: "all", For: time.Hour, Most: 3}
		for i := range 3 {
			r.equal("note", r.remember("desk", fmt.Sprint("msg_", i), n), "kept")
			r.clock.Advance(10 * time.Minute)
		}
		r.equal("the fourth", r.remember("desk", "msg_3", n), "0 refused for 30m0s")
		r.clock.Advance(30 * time.Minute)
		r.equal("when the first has expired", r.remember("desk", "msg_3", n), "kept")
		r.equal("one more", r.remember("desk", "msg_4", n), "0 refused for 10m0s")
	},
	"where one note is refused none is kept": func(t *testing.T, r *rig) {
		all := spool.Note{Key: "all", For: time.Hour, Most: 1}
		r.equal("the first", r.remember("desk", "msg_1", week), "kept")
		r.equal("both", r.remember("desk", "msg_2", all, week), "1 refused for 168h0m0s")
		r.equal("what was not kept", r.remember("desk", "msg_3", all), "kept")
	},
	"of many that ask at once as many are kept as there are places": func(t *testing.T, r *rig) {
		var kept atomic.Int32
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				refused, err := r.Remember(r.ctx, "desk", fmt.Sprint("msg_", i), spool.Note{Key: "k", For: time.Hour, Most: 2})
				if err != nil {
					t.Error(err)
				} else if refused == nil {
					kept.Add(1)
				}
			})
		}
		all.Wait()
		r.equal("kept", kept.Load(), 2)
	},
	"a note without a key, a time or a place is an error": func(t *testing.T, r *rig) {
		for _, n := range []spool.Note{{For: 1, Most: 1}, {Key: "k", Most: 1}, {Key: "k", For: 1}, {Key: string(make([]byte, 129)), For: 1, Most: 1}} {
			if _, err := r.Remember(r.ctx, "desk", "msg_1", n); err == nil {
				t.Errorf("%+v was kept", n)
			}
		}
	},
}
