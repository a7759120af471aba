package spooltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

// headOf is what a server tells of a mail that is not retrieved.
func headOf(uid string, raw []byte) spool.Head {
	end := bytes.Index(raw, []byte("\r\n\r\n")) + len("\r\n\r\n")
	return spool.Head{UID: uid, Sum: spool.HeadSum(int64(len(raw)), raw[:end])}
}

func (r *rig) recognise(heads ...spool.Head) []string {
	r.t.Helper()
	known, err := r.Recognise(r.ctx, inbox, heads)
	r.must(err)
	return known
}

func (r *rig) renumbered() bool {
	r.t.Helper()
	yes, err := r.Renumbered(r.ctx, inbox)
	r.must(err)
	return yes
}

// interrupted is a store whose nth change of a ledger fails.
type interrupted struct {
	spool.Store
	n int
}

func (s *interrupted) Commit(ctx context.Context, ops []spool.Op) error {
	for _, op := range ops {
		if l, ok := op.(*spool.LedgerOp); ok && len(l.Gone) > 0 {
			if s.n--; s.n == 0 {
				return errors.New("interrupted")
			}
		}
	}
	return s.Store.Commit(ctx, ops)
}

var recognising = map[string]func(*testing.T, *rig){
	"a reset that was noted in part is a reset": func(t *testing.T, r *rig) {
		var old, renumbered []string
		for i := range 2500 {
			old, renumbered = append(old, fmt.Sprint("1/", i)), append(renumbered, fmt.Sprint("2/", i))
		}
		r.must(r.Skip(r.ctx, inbox, old))
		r.must(r.Learn(r.ctx, inbox, []spool.Head{headOf("1/0", text("a")), headOf("1/999", text("b"))})) // the first and the last page
		r.must(r.Close())
		store, err := r.open(r.ctx, r.dir)
		r.must(err)
		r.Spool, err = spool.Open(r.ctx, &interrupted{store, 2}, r.options)
		r.must(err)
		if _, _, err := r.Reconcile(r.ctx, inbox, renumbered, true, ""); err == nil {
			t.Fatal("it was not interrupted")
		}
		r.reopen()
		r.clock.Advance(time.Minute)
		r.equal("fresh", r.reconcile(renumbered...), renumbered)
		r.equal("known", r.recognise(headOf("2/5", text("a")), headOf("2/6", text("b"))), []string{"2/5", "2/6"})
	},
	"after a reset taken mail is recognised by its head": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, nil))
		a, big := r.take(r.mail("1/1", text("a"))), r.take(r.mail("1/2", large("c", 1<<20)))
		r.route(a, "app")
		r.record("app", spool.Delivered)
		r.reconcile("1/1", "1/2")
		r.equal("renumbered before", r.renumbered(), false)
		r.reconcile("2/7", "2/8", "2/9")
		r.reopen()
		r.equal("renumbered", r.renumbered(), true)
		r.equal("known", r.recognise(headOf("2/7", large("c", 1<<20)), headOf("2/8", text("d")), headOf("2/9", text("a"))), []string{"2/7", "2/9"})
		r.reopen()
		r.equal("renumbered after", r.renumbered(), false)
		r.equal("due under the new UID", r.due(), []string{"delete 2/9"})
		r.equal("fresh", r.reconcile("2/7", "2/8", "2/9"), []string{"2/8"})
		r.equal("known UIDs", r.mailboxOf(inbox).Known, 2)
		r.equal("mail 2/7", r.take(r.mail("2/7", large("c", 1<<20))), big)
	},
	"after a reset skipped mail is recognised by the head that was learned": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, []string{"1/1", "1/2", "1/3"}))
		bare, err := r.Headless(r.ctx, inbox, 2)
		r.must(err)
		r.equal("headless, two at most", bare, []string{"1/1", "1/2"})
		r.must(r.Learn(r.ctx, inbox, []spool.Head{headOf("1/1", text("a")), headOf("1/2", text("b"))}))
		r.reopen()
		bare, err = r.Headless(r.ctx, inbox, 10)
		r.must(err)
		r.equal("headless", bare, []string{"1/3"})
		r.reconcile("2/1", "2/2", "2/3")
		r.equal("known", r.recognise(headOf("2/1", text("b")), headOf("2/2", text("c")), headOf("2/3", text("a"))), []string{"2/1", "2/3"})
		r.equal("fresh", r.reconcile("2/1", "2/2", "2/3"), []string{"2/2"})
		bare, err = r.Headless(r.ctx, inbox, 10)
		r.must(err)
		r.equal("headless after it", bare, []string(nil))
		r.reconcile("3/1", "3/2", "3/3")
		r.equal("known after another reset", r.recognise(headOf("3/1", text("b")), headOf("3/2", text("c")), headOf("3/3", text("a"))), []string{"3/1", "3/3"})
	},
	"mails alike are recognised as often as they were there": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, []string{"1/1"}))
		r.must(r.Learn(r.ctx, inbox, []spool.Head{headOf("1/1", text("a"))}))
		r.take(r.mail("1/2", text("a")))
		r.reconcile("2/1", "2/2", "2/3")
		r.equal("known", r.recognise(headOf("2/1", text("a")), headOf("2/2", text("a")), headOf("2/3", text("a"))), []string{"2/1", "2/2"})
	},
	"without a reset nothing is recognised": func(t *testing.T, r *rig) {
		r.take(r.mail("1/1", text("a")))
		r.reconcile("1/1", "1/2")
		r.equal("renumbered", r.renumbered(), false)
		r.equal("known", r.recognise(headOf("1/2", text("a")), headOf("1/1", text("a"))), []string(nil))
		r.equal("fresh", r.reconcile("1/1", "1/2"), []string{"1/2"})
	},
	"a mail of another size or header is not recognised": func(t *testing.T, r *rig) {
		raw := text("a")
		r.take(r.mail("1/1", raw))
		r.reconcile("2/1")
		r.equal("known", r.recognise(
			spool.Head{UID: "2/1", Sum: spool.HeadSum(int64(len(raw))+1, raw)},
			spool.Head{UID: "2/1", Sum: spool.HeadSum(int64(len(raw)), bytes.Replace(raw, []byte("Ada"), []byte("Eve"), 1))},
		), []string(nil))
	},
	"2,500 mails are recognised at once": func(t *testing.T, r *rig) {
		var was, now []string
		var old, heads []spool.Head
		for i := range 2500 {
			was, now = append(was, fmt.Sprintf("1/%d", i+1)), append(now, fmt.Sprintf("2/%d", i+1))
			raw := text(fmt.Sprint("mail ", i))
			old, heads = append(old, headOf(was[i], raw)), append(heads, headOf(now[i], raw))
		}
		r.must(r.Skip(r.ctx, inbox, was))
		r.must(r.Learn(r.ctx, inbox, old))
		r.reconcile(now...)
		r.equal("known", len(r.recognise(heads...)), 2500)
		r.equal("fresh", r.reconcile(now...), []string(nil))
	},
}
