package spooltest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postferry/postferry/spool"
)

var taking = map[string]func(*testing.T, *rig){
	"a taken mail is read back as it was, in the next process too": func(t *testing.T, r *rig) {
		for _, size := range []int{0, 1, spool.InRow, spool.InRow + 1, 3 << 20} {
			b := bytes.Repeat([]byte{'x', 0, '\r', '\n', 0xff}, size/5+1)[:size]
			id := r.take(r.mail(fmt.Sprint("1/", size), b))
			first, err := r.Next(r.ctx)
			r.must(err)
			check := func(i *spool.Item) {
				t.Helper()
				if got := read(t, i.Octets); !bytes.Equal(got, b) {
					t.Fatalf("%d octets came back as %d others", size, len(got))
				}
				r.equal("item", fmt.Sprint(i.ID, i.Mailbox, i.Protocol, i.BoxKey, i.UID, i.ReceivedAt, i.TakenAt, i.Flags, i.SHA256, i.Ordinal, i.Octets.Size()),
					fmt.Sprint(id, "support", "imap", inbox, fmt.Sprint("1/", size), time.Date(2026, 3, 4, 4, 0, 0, 0, time.UTC), r.clock.Now(), []string{`\Seen`, "$Junk"}, sha256.Sum256(b), 0, size))
			}
			check(first)
			r.reopen()
			again, err := r.Next(r.ctx)
			r.must(err)
			check(again)
			r.must(r.Route(r.ctx, id, spool.Routing{}))
		}
	},
	"a known UID is not taken twice": func(t *testing.T, r *rig) {
		id := r.add("1/7")
		r.equal("id of the same UID", r.take(r.mail("1/7", text("another text"))), id)
		r.equal("mails", r.mailbox("support").Taken, 1)
		r.route(id)
		r.idle()
	},
	"a large mail of a known UID leaves nothing behind, and the known one whole": func(t *testing.T, r *rig) {
		b := large("a", 1<<20)
		id := r.take(r.mail("1/7", b))
		r.equal("id of the same UID", r.take(r.mail("1/7", b)), id)
		r.reopen()
		i, err := r.Next(r.ctx)
		r.must(err)
		if !bytes.Equal(read(t, i.Octets), b) {
			t.Error("the octets are not those taken")
		}
	},
	"a UID that was skipped is taken when it is wanted": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, []string{"1/7"}))
		id := r.add("1/7")
		r.equal("known", r.mailbox("support").Known, 1)
		r.route(id)
	},
	"the same UID in another box or account is another mail": func(t *testing.T, r *rig) {
		ids := map[spool.ID]bool{}
		for _, box := range []spool.BoxKey{inbox, {Account: inbox.Account, Box: "Work"}, {Account: "bob@mail.example", Box: "INBOX"}} {
			m := r.mail("1/7", text("a"))
			m.BoxKey = box
			ids[r.take(m)] = true
		}
		r.equal("mails", len(ids), 3)
	},
	"equal octets have ordinals, by account": func(t *testing.T, r *rig) {
		var ordinals []int
		for i, account := range []string{"ada@mail.example", "ada@mail.example", "bob@mail.example", "ada@mail.example"} {
			m := r.mail(fmt.Sprint("1/", i), text("a"))
			m.Account = account
			if i == 1 {
				m.Box = "Work"
			}
			id := r.take(m)
			item, err := r.Next(r.ctx)
			r.must(err)
			r.must(r.Route(r.ctx, id, spool.Routing{}))
			ordinals = append(ordinals, item.Ordinal)
		}
		r.equal("ordinals", ordinals, []int{0, 1, 0, 2})
	},
	"delivery ids are the same in a store that was lost": func(t *testing.T, r *rig) {
		ids := func() (all []string) {
			for _, uid := range []string{"1/1", "1/2"} { // the same octets twice
				id := r.take(r.mail(uid, text("a")))
				r.route(id, "app", "app/2", "lines")
			}
			for _, sink := range []string{"app", "app", "app", "app", "lines", "lines"} {
				all = append(all, r.record(sink, spool.Delivered).Delivery)
			}
			return all
		}
		before := ids()
		seen := map[string]bool{}
		for _, id := range before {
			seen[id] = true
		}
		r.equal("different ids", len(seen), 6)
		r.dir = t.TempDir()
		r.reopen()
		r.equal("ids", ids(), before)
	},
	"a copy moved back on purpose is a new mail": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, nil))
		first := r.take(r.mail("1/1", text("a")))
		r.route(first, "app")
		one := r.record("app", spool.Delivered)
		r.reconcile("1/2") // moved away, while another arrived
		r.add("1/2")
		r.route(first+1, "app")
		r.record("app", spool.Delivered)
		r.equal("fresh", r.reconcile("1/2", "1/3"), []string{"1/3"})
		again := r.take(r.mail("1/3", text("a")))
		r.route(again, "app")
		two := r.record("app", spool.Delivered)
		if again == first || one.Delivery == two.Delivery {
			t.Errorf("it is mail %d with delivery %s again", again, two.Delivery)
		}
	},
	"after a UIDVALIDITY reset the mail of the old numbering is recognised": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, nil))
		a, b, big := r.take(r.mail("1/1", text("a"))), r.take(r.mail("1/2", text("b"))), r.take(r.mail("1/3", large("c", 1<<20)))
		r.route(a, "app")
		r.record("app", spool.Delivered)
		r.equal("due", r.due(), []string{"delete 1/1"})
		r.reconcile("1/1", "1/2", "1/3")
		fresh := r.reconcile("2/10", "2/11", "2/12", "2/13")
		r.equal("fresh", fresh, []string{"2/10", "2/11", "2/12", "2/13"})
		r.equal("the mails are", []spool.ID{
			r.take(r.mail("2/10", text("b"))), r.take(r.mail("2/11", text("a"))), r.take(r.mail("2/12", large("c", 1<<20))),
		}, []spool.ID{b, a, big})
		neu := r.take(r.mail("2/13", text("d")))
		if neu == a || neu == b || neu == big {
			t.Error("a new mail was taken for an old one")
		}
		r.equal("due under the new UID", r.due(), []string{"delete 2/11"})
		r.equal("fresh after it", r.reconcile("2/10", "2/11", "2/12", "2/13"), []string(nil))
		r.equal("mails", r.mailbox("support").Taken, 4)
		r.equal("a copy of an old one after that", r.take(r.mail("2/14", text("a"))) > neu, true)
	},
	"the unique-ids of a mailbox that was emptied and filled are not taken for a reset": func(t *testing.T, r *rig) {
		r.must(r.Skip(r.ctx, inbox, nil))
		first := r.take(r.mail("uidl-a", text("a")))
		r.route(first, "app")
		r.record("app", spool.Delivered)
		due, err := r.Settlements(r.ctx, "support")
		r.must(err)
		r.must(r.Settled(r.ctx, []int64{due[0].ID})) // deleted
		r.reconcile("uidl-b", "uidl-c")
		if again := r.take(r.mail("uidl-b", text("a"))); again == first {
			t.Error("another mail with the octets of a deleted one was not taken")
		}
	},
	"after a reset of all unique-ids the mail is recognised": func(t *testing.T, r *rig) {
		id := r.take(r.mail("uidl-a", text("a")))
		r.must(r.Skip(r.ctx, inbox, []string{"uidl-b"}))
		r.equal("fresh", r.reconcile("new-a", "new-b"), []string{"new-a", "new-b"})
		r.reopen()
		r.equal("mail", r.take(r.mail("new-a", text("a"))), id)
	},
	"two equal mails of the old numbering are both recognised": func(t *testing.T, r *rig) {
		a, b := r.take(r.mail("1/1", text("a"))), r.take(r.mail("1/2", text("a")))
		r.reconcile("1/1", "1/2")
		r.reconcile("2/1", "2/2", "2/3")
		r.equal("mails", []spool.ID{r.take(r.mail("2/1", text("a"))), r.take(r.mail("2/2", text("a")))}, []spool.ID{a, b})
		if id := r.take(r.mail("2/3", text("a"))); id == a || id == b {
			t.Errorf("a third one is mail %d", id)
		}
	},
	"a large mail that comes slowly keeps no other from being taken": func(t *testing.T, r *rig) {
		slow, line := io.Pipe()
		staged := make(chan error, 1)
		go func() {
			o, err := r.Stage(r.ctx, slow)
			if err == nil {
				err = o.Close()
			}
			staged <- err
		}()
		_, err := line.Write(large("slow", 8<<20)) // returns when all of it was read
		r.must(err)
		for i := range 50 {
			r.route(r.add(fmt.Sprintf("1/%d", i+1)), "app")
			r.record("app", spool.Delivered)
		}
		select {
		case err := <-staged:
			t.Fatalf("the large mail has ended: %v", err)
		default:
		}
		r.must(line.Close())
		r.must(<-staged)
	},
	"a mail that is cut short or too large is not staged": func(t *testing.T, r *rig) {
		r.restart(func(o *spool.Options) { o.Largest = 1 << 20 })
		for name, c := range map[string]struct {
			r    io.Reader
			want error
		}{
			"cut in memory":          {io.MultiReader(bytes.NewReader(make([]byte, 100)), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
			"cut in a file":          {io.MultiReader(bytes.NewReader(make([]byte, 400<<10)), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
			"cut where memory ends":  {io.MultiReader(bytes.NewReader(make([]byte, spool.InRow+1)), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
			"one octet too large":    {bytes.NewReader(make([]byte, 1<<20+1)), spool.ErrLarge},
			"the first read failing": {iotest.ErrReader(io.ErrClosedPipe), io.ErrClosedPipe},
		} {
			o, err := r.Stage(r.ctx, c.r)
			if o != nil || !errors.Is(err, c.want) {
				t.Errorf("%s: octets %v, error %v; want %v", name, o, err, c.want)
			}
		}
		o, err := r.Stage(r.ctx, iotest.OneByteReader(bytes.NewReader(make([]byte, 1<<20))))
		r.must(err)
		r.equal("octets of the largest", o.Size(), 1<<20)
		r.must(o.Close())
	},
}
