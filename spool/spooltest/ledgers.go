package spooltest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
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
	"a listing finds what has changed since the one before, and the ledger says so": func(t *testing.T, r *rig) {
		m := &model{rig: r, rng: rand.New(rand.NewPCG(1, 2)), gone: map[string]time.Time{}, pinned: map[string]bool{}}
		for range 100 {
			m.step()
		}
	},
	"an unchanged box is not read again, and a changed one in part": func(t *testing.T, r *rig) {
		uids := make([]string, 10_000)
		for i := range uids {
			uids[i] = fmt.Sprintf("1693/%d", i+1)
		}
		r.must(r.Skip(r.ctx, inbox, uids))
		r.must(r.Close())
		w := &watched{}
		var err error
		w.Store, err = r.open(r.ctx, r.dir)
		r.must(err)
		r.Spool, err = spool.Open(r.ctx, w, r.options)
		r.must(err)
		pages := func(fresh string, uids ...string) int {
			w.pages = 0
			r.equal("fresh", r.reconcile(uids...), strings.Fields(fresh))
			return w.pages
		}
		r.equal("all pages are read", pages("", uids...) >= 10, true)
		r.equal("pages", pages("", uids...), 0)
		uids = append(uids, "1693/10001")
		r.equal("pages with one mail more", pages("1693/10001", uids...) <= 2, true)
		r.add("1693/10001")
		r.equal("pages after it was taken", pages("", uids...) <= 2, true)
		r.equal("pages", pages("", uids...), 0)
		r.equal("pages with two mails less", pages("", uids[2:]...) <= 4, true)
		pages("", uids[2:]...)
		r.equal("pages", pages("", uids[2:]...), 0)
		r.clock.Advance(30 * day)
		r.equal("pages when they are forgotten", pages("", uids[2:]...) <= 4, true)
		r.equal("fresh", r.reconcile(uids...), uids[:2])
		pages("", uids[2:10_000]...)
		r.equal("pages", pages("", uids[2:10_000]...) <= 2, true)
		r.equal("pages", pages("", uids[2:10_000]...), 0)
		r.add("1693/10001") // it is known, and was gone
		r.equal("pages after a mail was taken again", pages("", uids[2:10_000]...) > 0, true)
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

// model is what the ledger of a box should be: the UIDs known, and since when
// they are gone. Those of mail that was never routed are pinned.
type model struct {
	*rig
	rng    *rand.Rand
	gone   map[string]time.Time
	pinned map[string]bool
}

// some are UIDs of a thousand or two, in any order, a few of them twice.
func (m *model) some(share float64) (uids []string) {
	for _, i := range m.rng.Perm(1800) {
		for x := m.rng.Float64(); x < share; x = 10 * m.rng.Float64() {
			uids = append(uids, fmt.Sprintf("7/%d", i))
		}
	}
	return uids
}

// step lists the box until nothing is new, changes something, and lists it again
// as it was.
func (m *model) step() {
	listing, here := m.some(0.9), m.here()
	if m.rng.IntN(3) > 0 { // what is known, but for a few
		listing = slices.Sorted(maps.Keys(m.gone))
		listing = slices.DeleteFunc(listing, func(uid string) bool {
			return m.rng.IntN(300) == 0 || !m.gone[uid].IsZero() && m.rng.IntN(3) > 0
		})
	}
	for range 1 + m.rng.IntN(2) {
		m.list(listing, true)
	}
	switch m.rng.IntN(10) {
	case 0:
		m.clock.Advance(time.Duration(m.rng.IntN(20)) * day)
	case 1:
		m.skip(m.some(0.1))
	case 2:
		m.skip(m.some(0.001))
	case 3, 4:
		m.take(len(m.pinned))
	case 5:
		for n := range len(m.pinned) { // once more one that is gone
			if !m.gone[fmt.Sprintf("7/%d", n)].IsZero() {
				m.take(n)
				break
			}
		}
	case 6:
		m.settle()
	case 7:
		m.list(m.some(0.002), false)
	case 8:
		m.list(here, true)
	case 9:
		m.reopen()
	}
	m.check()
	m.list(listing, m.rng.IntN(10) > 0)
	m.check()
}

// here are the UIDs that no listing has lacked.
func (m *model) here() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.gone)), func(uid string) bool { return !m.gone[uid].IsZero() })
}

func (m *model) skip(uids []string) {
	m.must(m.Skip(m.ctx, inbox, uids))
	for _, uid := range uids {
		if _, known := m.gone[uid]; !known {
			m.gone[uid] = time.Time{}
		}
	}
}

// take takes a mail that is to be deleted from its server at once.
func (m *model) take(n int) {
	uid := fmt.Sprintf("7/%d", n)
	t := m.mail(uid, text(uid))
	t.Policy.Taken = true
	m.rig.take(t)
	m.gone[uid], m.pinned[uid] = time.Time{}, true
}

func (m *model) settle() {
	due, err := m.Settlements(m.ctx, "support")
	m.must(err)
	for _, s := range due {
		m.must(m.Settled(m.ctx, []int64{s.ID}))
		if m.gone[s.UID].IsZero() {
			m.gone[s.UID] = m.clock.Now()
		}
	}
}

func (m *model) list(uids []string, complete bool) {
	var want []string
	listed := map[string]bool{}
	for _, uid := range uids {
		if _, known := m.gone[uid]; known {
			m.gone[uid] = time.Time{}
		} else if !listed[uid] {
			want = append(want, uid)
		}
		listed[uid] = true
	}
	for uid, since := range m.gone {
		switch {
		case listed[uid] || !complete:
		case since.IsZero():
			m.gone[uid] = m.clock.Now()
		case m.clock.Now().Sub(since) >= 30*day && !m.pinned[uid]:
			delete(m.gone, uid)
		}
	}
	fresh, _, err := m.Reconcile(m.ctx, inbox, uids, complete, "")
	m.must(err)
	m.equal("fresh", fresh, want)
}

// check reads the whole ledger.
func (m *model) check() {
	m.t.Helper()
	n, after := 0, ""
	for {
		rows, err := m.store.Ledger(m.ctx, inbox, after, 1000)
		m.must(err)
		for _, row := range rows {
			since, known := m.gone[row.UID]
			m.equal(row.UID+" is known, gone", fmt.Sprint(true, row.Gone), fmt.Sprint(known, since))
			after = row.UID
		}
		if n += len(rows); len(rows) < 1000 {
			m.equal("known", n, len(m.gone))
			return
		}
	}
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
