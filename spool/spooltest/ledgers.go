package spooltest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

const day = 24 * time.Hour

var ledgers = map[string]func(*testing.T, *rig){
	"a listing gives what is not known, in its order, each once": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, []string{"b", "d"}))
		r.add("e")
		r.equal("fresh", r.reconcile("z", "d", "a", "e", "z", "b", "c"), []string{"z", "a", "c"})
		r.equal("fresh again", r.reconcile("c", "z", "d", "a", "e", "b"), []string{"c", "z", "a"})
	},
	"a box has a first listing until its baseline is written": func(t *testing.T, r *rig) {
		for range 2 {
			fresh, first, err := r.Reconcile(r.ctx, inbox, []string{"1", "2"}, true, "")
			r.must(err)
			r.equal("fresh, first", fmt.Sprint(fresh, first), "[1 2] true")
			r.reopen()
		}
		r.must(r.Skip(r.ctx, inbox, []string{"1", "2"}))
		r.reopen()
		fresh, first, err := r.Reconcile(r.ctx, inbox, []string{"1", "2", "3"}, true, "")
		r.must(err)
		r.equal("fresh, first", fmt.Sprint(fresh, first), "[3] false")
	},
	"an empty baseline is one": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, nil))
		_, first, err := r.Reconcile(r.ctx, inbox, []string{"1"}, true, "")
		r.must(err)
		r.equal("first", first, false)
	},
	"a cursor is kept for each box": func(t *testing.T, r *rig) {
		other := spool.BoxKey{Account: inbox.Account, Box: "Work"}
		for _, c := range []string{"one", "two", "two", ""} {
			_, _, err := r.Reconcile(r.ctx, inbox, nil, false, c)
			r.must(err)
			r.reopen()
			got, err := r.Cursor(r.ctx, inbox)
			r.must(err)
			r.equal("cursor", got, c)
		}
		got, err := r.Cursor(r.ctx, other)
		r.must(err)
		r.equal("cursor of a box never listed", got, "")
	},
	"a UID is forgotten after 30 days of complete listings without it": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, []string{"here", "gone"}))
		r.equal("fresh", r.reconcile("here"), []string(nil))
		r.clock.Advance(30*day - time.Second)
		r.reconcile("here")
		r.equal("fresh before 30 days", r.reconcile("here", "gone"), []string(nil))
		r.reconcile("here") // it is gone from now on
		r.clock.Advance(30*day - time.Second)
		r.reconcile("here")
		r.clock.Advance(time.Second)
		r.reopen()
		r.reconcile("here")
		r.equal("fresh after 30 days", r.reconcile("here", "gone"), []string{"gone"})
	},
	"an incomplete listing makes nothing gone": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, []string{"a"}))
		for range 2 {
			_, _, err := r.Reconcile(r.ctx, inbox, []string{"b"}, false, "")
			r.must(err)
			r.clock.Advance(31 * day)
		}
		r.equal("fresh", r.reconcile("a"), []string(nil))
	},
	"a UID whose mail is not finished stays known, and goes with it": func(t *testing.T, r *rig) {
		id := r.add("1/1")
		r.must(r.Skip(r.ctx, inbox, []string{"1/2"}))
		r.route(id, "app")
		forget := func() {
			r.reconcile("1/2")
			r.clock.Advance(31 * day)
			r.reconcile("1/2")
		}
		forget()
		r.equal("fresh while it is undelivered", r.reconcile("1/1", "1/2"), []string(nil))
		r.record("app", spool.Delivered)
		forget()
		r.equal("fresh while its settlement is owed", r.reconcile("1/1", "1/2"), []string(nil))
		due, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.must(r.Settled(r.ctx, []int64{due[0].ID}))
		forget()
		st := r.mailbox("support")
		r.equal("known, taken, octets", fmt.Sprint(st.Known, st.Taken, st.Octets), "1 0 0")
		r.equal("delivered", r.sink("app").Delivered, 0)
		r.equal("retained", r.status().Retained, 0)
		r.equal("fresh once it is finished", r.reconcile("1/1", "1/2"), []string{"1/1"})
	},
	"20,000 UIDs are reconciled in bounded memory": func(t *testing.T, r *rig) {
		const n = 20_000
		uids := make([]string, n)
		for i := range uids {
			uids[i] = fmt.Sprintf("1693/%d", i+1)
		}
		r.must(r.Skip(r.ctx, inbox, uids))
		listing := append(uids[:n:n], "1693/100001")
		r.must(r.Close())
		w := &watched{}
		var err error
		w.Store, err = r.open(r.ctx, r.dir)
		r.must(err)
		r.Spool, err = spool.Open(r.ctx, w, r.options)
		r.must(err)
		r.equal("fresh", r.reconcile(listing...), []string{"1693/100001"})
		r.equal("asked for the ledger", w.pages > n/1000, true)
		st := r.mailboxOf(inbox)
		r.equal("known", st.Known, n)
		r.equal("fresh when all but one are gone", r.reconcile("1693/77"), []string(nil))
		r.clock.Advance(30 * day)
		r.reconcile("1693/77")
		r.equal("known", r.mailboxOf(inbox).Known, 1)
		if w.most > 1000 {
			t.Errorf("%d UIDs were read or written at a time", w.most)
		}
	},
	"a box is bound to a mailbox without a mail": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, []string{"a", "b"}))
		r.must(r.Bind(r.ctx, "support", inbox))
		r.equal("known", r.mailbox("support").Known, 2)
		r.must(r.Bind(r.ctx, "renamed", inbox))
		r.equal("known", r.mailbox("renamed").Known, 2)
	},
	"the last listing is shown, and what went wrong since": func(t *testing.T, r *rig) {
		r.Listed(r.ctx, "support", nil)
		at := r.clock.Now()
		r.clock.Advance(time.Hour)
		r.Listed(r.ctx, "support", fmt.Errorf("the server said no"))
		r.reopen()
		st := r.mailbox("support")
		r.equal("listed and error", fmt.Sprint(st.Listed, st.Error), fmt.Sprint(at, "the server said no"))
		r.Listed(r.ctx, "support", nil)
		st = r.mailbox("support")
		r.equal("listed and error", fmt.Sprint(st.Listed, st.Error), fmt.Sprint(r.clock.Now(), ""))
	},
}

// mailboxOf binds the box and reads its mailbox's status.
func (r *rig) mailboxOf(box spool.BoxKey) spool.MailboxStatus {
	r.t.Helper()
	r.must(r.Bind(r.ctx, "support", box))
	return r.mailbox("support")
}

// watched tells how much of a ledger is in memory at a time.
type watched struct {
	spool.Store
	mu    sync.Mutex
	pages int
	most  int
}

func (w *watched) Ledger(ctx context.Context, box spool.BoxKey, after string, limit int) ([]spool.Known, error) {
	rows, err := w.Store.Ledger(ctx, box, after, limit)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages++
	w.most = max(w.most, len(rows))
	return rows, err
}

func (w *watched) Commit(ctx context.Context, ops []spool.Op) error {
	w.mu.Lock()
	for _, op := range ops {
		if l, ok := op.(*spool.LedgerOp); ok {
			w.most = max(w.most, len(l.Skip)+len(l.Back)+len(l.Gone)+len(l.Forget))
		}
	}
	w.mu.Unlock()
	return w.Store.Commit(ctx, ops)
}
