package spooltest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/spool"
)

// deadline is how long a test waits for what has to happen.
const deadline = 2 * time.Minute

var inbox = spool.BoxKey{Account: "ada@mail.example", Box: "INBOX"}

// rig is a spool over the store under test.
type rig struct {
	*spool.Spool
	t       *testing.T
	ctx     context.Context
	open    Opener
	dir     string
	clock   *clock.Fake
	options spool.Options
	store   spool.Store
	ahead   bool // Route is RouteAhead
}

// Route is Spool.Route, or RouteAhead where the test is run so.
func (r *rig) Route(ctx context.Context, id spool.ID, to spool.Routing) error {
	if r.ahead {
		return r.RouteAhead(ctx, id, to)
	}
	return r.Spool.Route(ctx, id, to)
}

func newRig(t *testing.T, open Opener) *rig {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	r := &rig{t: t, ctx: ctx, open: open, dir: t.TempDir(), clock: clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))}
	r.options = spool.Options{Retain: 24 * time.Hour}
	r.start()
	t.Cleanup(func() { r.Close() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.store, err = r.open(r.ctx, r.dir); err != nil {
		r.t.Fatal(err)
	}
	r.options.Clock = r.clock
	if r.Spool, err = spool.Open(r.ctx, r.store, r.options); err != nil {
		r.t.Fatal(err)
	}
}

// reopen is the next process.
func (r *rig) reopen() {
	r.t.Helper()
	r.must(r.Close())
	r.start()
}

// restart is the next process with other options.
func (r *rig) restart(change func(*spool.Options)) {
	r.t.Helper()
	change(&r.options)
	r.reopen()
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) equal(what string, got, want any) {
	r.t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		r.t.Fatalf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// text is a small mail with that subject.
func text(subject string) []byte {
	return []byte("From: Ada Byron <ada@customer.example>\r\nTo: support@example.com\r\nSubject: " + subject + "\r\n\r\nStill nothing here.\r\n")
}

// large is a mail that is not kept in memory.
func large(subject string, size int) []byte {
	b := text(subject)
	return append(b, bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)...)[:max(size, len(b))]
}

// stage is Stage of octets at hand.
func (r *rig) stage(b []byte) *spool.Octets {
	r.t.Helper()
	o, err := r.Stage(r.ctx, bytes.NewReader(b))
	r.must(err)
	return o
}

func (r *rig) mail(uid string, b []byte) spool.Taken {
	return spool.Taken{
		Mailbox: "support", Protocol: "imap", BoxKey: inbox, UID: uid,
		ReceivedAt: time.Date(2026, 3, 4, 5, 0, 0, 0, time.FixedZone("", 3600)), Flags: []string{`\Seen`, "$Junk"},
		Octets: r.stage(b), Policy: spool.Policy{After: spool.Action{Verb: spool.Delete}, Failed: spool.Action{Verb: spool.Flag, Arg: "$Failed"}},
	}
}

func (r *rig) take(m spool.Taken) spool.ID {
	r.t.Helper()
	id, err := r.Take(r.ctx, m)
	r.must(err)
	return id
}

// add takes a small mail whose subject is its UID.
func (r *rig) add(uid string) spool.ID {
	r.t.Helper()
	return r.take(r.mail(uid, text(uid)))
}

// to are whole mails to these sinks.
func to(sinks ...string) []spool.To {
	var all []spool.To
	for _, s := range sinks {
		name, part, _ := strings.Cut(s, "/")
		all = append(all, spool.To{Sink: name, Part: part})
	}
	return all
}

// route routes the next mail, which has to be id.
func (r *rig) route(id spool.ID, sinks ...string) {
	r.t.Helper()
	i, err := r.Next(r.ctx)
	r.must(err)
	r.equal("next mail", i.ID, id)
	r.must(r.Route(r.ctx, id, spool.Routing{To: to(sinks...), Facts: []byte("facts")}))
}

func (r *rig) claim(sink string) *spool.Claim {
	r.t.Helper()
	c, err := r.Due(r.ctx, sink)
	r.must(err)
	return c
}

func (r *rig) outcome(c *spool.Claim, state spool.State) spool.Outcome {
	o := spool.Outcome{Delivery: c.Delivery, State: state, Attempt: spool.Attempt{At: r.clock.Now(), Duration: time.Second, Detail: "detail", Answer: "answer", Error: "error"}}
	if state == spool.Deferred {
		o.Next = r.clock.Now().Add(time.Hour)
	}
	return o
}

// record claims the sink's next delivery and records what it came to.
func (r *rig) record(sink string, state spool.State, actions ...spool.Action) *spool.Claim {
	r.t.Helper()
	c := r.claim(sink)
	o := r.outcome(c, state)
	o.Actions = actions
	r.must(r.Record(r.ctx, c.Item.ID, o))
	return c
}

// idle fails if something could be done now.
func (r *rig) idle() {
	r.t.Helper()
	b, err := r.store.Backlog(r.ctx)
	r.must(err)
	for sink, due := range b.Sinks {
		if !due.After(r.clock.Now()) {
			r.t.Fatalf("sink %s has a delivery that is due", sink)
		}
	}
	if b.Unrouted {
		r.t.Fatal("a mail waits for routing")
	}
	r.must(r.Drain(r.ctx, r.clock.Now()))
}

// due are the settlements due, as "action uid".
func (r *rig) due() []string {
	r.t.Helper()
	due, err := r.Settlements(r.ctx, "support")
	r.must(err)
	var all []string
	for _, s := range due {
		r.equal("settlement's mailbox and box", fmt.Sprint(s.Mailbox, s.BoxKey), fmt.Sprint("support", inbox))
		all = append(all, s.Action.String()+" "+s.UID)
	}
	return all
}

func (r *rig) status() spool.Status {
	r.t.Helper()
	st, err := r.Status(r.ctx)
	r.must(err)
	return st
}

func (r *rig) mailbox(name string) spool.MailboxStatus {
	r.t.Helper()
	for _, m := range r.status().Mailboxes {
		if m.Mailbox == name {
			return m
		}
	}
	r.t.Fatalf("mailbox %s is not in the status", name)
	return spool.MailboxStatus{}
}

func (r *rig) sink(name string) spool.SinkStatus {
	r.t.Helper()
	for _, s := range r.status().Sinks {
		if s.Sink == name {
			return s
		}
	}
	return spool.SinkStatus{Sink: name}
}

func (r *rig) show(id spool.ID) *spool.Mail {
	r.t.Helper()
	m, err := r.Show(r.ctx, spool.Target{Item: id})
	r.must(err)
	return m
}

// reconcile lists the UIDs, completely.
func (r *rig) reconcile(uids ...string) []string {
	r.t.Helper()
	fresh, _, err := r.Reconcile(r.ctx, inbox, uids, true, "")
	r.must(err)
	return fresh
}

func read(t *testing.T, o *spool.Octets) []byte {
	t.Helper()
	b, err := io.ReadAll(o.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
