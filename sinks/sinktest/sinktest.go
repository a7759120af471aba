// Package sinktest holds the tests every sinks.Sink must pass. A sink's own tests
// call Run with a fixture that stands on a real destination:
//
//	sinktest.Run(t, func(t *testing.T) sinktest.Fixture { … })
//
// Each fact gets a fixture of its own, to which nothing was delivered yet.
package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/sinks"
)

// patience bounds each test; nothing is decided by it.
const patience = 60 * time.Second

// Fixture is a sink and its destination.
type Fixture struct {
	Sink sinks.Sink
	// Stored is what the destination has under a delivery's id: one element for
	// each time it took it, as far as it can tell them apart.
	Stored func(t testing.TB, id string) [][]byte
	// Refuse makes the destination refuse what comes from now on, and Accept
	// makes it accept again.
	Refuse, Accept func(t testing.TB)
	// Hang makes the destination give no answer from now on. entered is called
	// when it has a delivery. Nil for destinations that cannot hang.
	Hang func(t testing.TB, entered func())
	// Restart ends the destination as a crash would, and brings it back where it
	// was with what it had confirmed. Nil for destinations that are no process.
	Restart func(t testing.TB)
	// Large makes the destination find the mail that it returns too large, until
	// Accept. Nil where nothing is.
	Large func(t testing.TB) (raw string)
	// Denied is a sink of the same kind with credentials the destination refuses;
	// nil where there are none.
	Denied sinks.Sink
	// Dead is a sink of the same kind whose destination is not there; nil if New
	// refuses to make one.
	Dead sinks.Sink
	// CheckSignsIn says that a check shows the credentials to the destination.
	CheckSignsIn bool
	// Secrets are what the sinks were configured with and must never show.
	Secrets []string
	// Once says that the destination keeps one copy of a delivery made twice.
	Once bool
}

// Run tests the sink that start makes.
func Run(t *testing.T, start func(t *testing.T) Fixture) {
	for _, fact := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"a mail that is accepted is at the destination", accepted},
		{"the same delivery twice has the same octets", twice},
		{"a refusal is an error and the sink goes on", refused},
		{"an ended context delivers nothing", ended},
		{"a destination that hangs lets go when the context ends", hanging},
		{"a destination that restarts in mid-flight has every mail in the end", restarted},
		{"a mail the destination finds too large is at fault itself, and the sink goes on", tooLarge},
		{"a sink whose credentials are refused is at fault itself", denied},
		{"many deliveries at once all arrive whole", atOnce},
		{"hostile and large mails are delivered like any other", hostile},
		{"a dead destination gives errors that do not blame the mail", dead},
		{"no secret is in an error, an answer, a preview or a finding", secrets},
		{"a preview delivers nothing", preview},
		{"a check of a living destination finds nothing wrong", check},
		{"Close can be called after deliveries", closed},
		{"Close while deliveries are under way lets each come to a true end", closedInFlight},
	} {
		t.Run(fact.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			b := &bench{Fixture: start(t), ctx: ctx}
			fact.test(t, b)
			if !b.done {
				b.Sink.Close()
			}
			for _, s := range []sinks.Sink{b.Dead, b.Denied} {
				if s != nil {
					s.Close()
				}
			}
		})
	}
}

// bench is a fixture at work.
type bench struct {
	Fixture
	ctx  context.Context
	done bool // closed
}

func (b *bench) deliver(t testing.TB, d *sinks.Delivery) {
	t.Helper()
	if _, err := b.Sink.Deliver(b.ctx, d); err != nil {
		t.Errorf("Deliver: %v", err)
	}
}

func accepted(t *testing.T, b *bench) {
	b.deliver(t, Delivery(t, 1, Mail))
	if got := b.Stored(t, ID(1)); len(got) != 1 || len(got[0]) == 0 {
		t.Errorf("the destination has %d copies", len(got))
	}
	if got := b.Stored(t, ID(2)); len(got) != 0 {
		t.Errorf("the destination has %d copies of what was not delivered", len(got))
	}
}

func twice(t *testing.T, b *bench) {
	b.deliver(t, Delivery(t, 1, Mail))
	again := Delivery(t, 1, Mail)
	again.Attempt = 2
	b.deliver(t, again)
	got := b.Stored(t, ID(1))
	want := 2
	if b.Once {
		want = 1
	}
	if len(got) != want {
		t.Fatalf("the destination has %d copies", len(got))
	}
	if !bytes.Equal(got[0], got[len(got)-1]) {
		t.Errorf("the second attempt sent other octets")
	}
}

func refused(t *testing.T, b *bench) {
	b.Refuse(t)
	if _, err := b.Sink.Deliver(b.ctx, Delivery(t, 1, Mail)); err == nil {
		t.Error("a refusal is no error")
	}
	b.Accept(t)
	b.deliver(t, Delivery(t, 2, Mail))
	if got := b.Stored(t, ID(2)); len(got) != 1 {
		t.Errorf("after a refusal the destination has %d copies", len(got))
	}
}

func ended(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	if _, err := b.Sink.Deliver(ctx, Delivery(t, 1, Mail)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if got := b.Stored(t, ID(1)); len(got) != 0 {
		t.Errorf("the destination has %d copies", len(got))
	}
}

func hanging(t *testing.T, b *bench) {
	if b.Hang == nil {
		return
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	b.Hang(t, cancel)
	_, err := b.Sink.Deliver(ctx, Delivery(t, 1, Mail))
	if !errors.Is(err, context.Canceled) || b.ctx.Err() != nil {
		t.Errorf("the error is %v", err)
	}
	if sinks.IsPermanent(err) || sinks.IsSinkFault(err) || sinks.IsMailFault(err) {
		t.Errorf("a delivery that was cut short blames somebody: %v", err)
	}
}

func atOnce(t *testing.T, b *bench) {
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			raw := strings.Replace(Mail, "Order 1042", fmt.Sprintf("Order %d", i), 1)
			b.deliver(t, Delivery(t, i, raw))
		})
	}
	all.Wait()
	for i := range 32 {
		if got := b.Stored(t, ID(i)); len(got) != 1 || !bytes.Contains(got[0], fmt.Appendf(nil, "Order %d", i)) {
			t.Errorf("of delivery %d the destination has %d copies: %.200s", i, len(got), got)
		}
	}
}

func hostile(t *testing.T, b *bench) {
	for i, raw := range Hostile() {
		b.deliver(t, Delivery(t, i, raw))
		got := b.Stored(t, ID(i))
		if len(got) != 1 {
			t.Errorf("of mail %d the destination has %d copies", i, len(got))
			continue
		}
		if bytes.HasPrefix(got[0], []byte("{")) && !json.Valid(got[0]) {
			t.Errorf("mail %d arrived as invalid JSON", i)
		}
	}
}

func dead(t *testing.T, b *bench) {
	if b.Dead == nil {
		return
	}
	_, err := b.Dead.Deliver(b.ctx, Delivery(t, 1, Mail))
	if err == nil {
		t.Error("a delivery to nobody succeeded")
	}
	if sinks.IsPermanent(err) || sinks.IsMailFault(err) {
		t.Errorf("the error blames the mail: %v", err)
	}
}

func secrets(t *testing.T, b *bench) {
	shown := func(where, text string) {
		t.Helper()
		for _, s := range b.Secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s shows the secret %s: %s", where, s, text)
			}
		}
	}
	try := func(where string, s sinks.Sink) {
		receipt, err := s.Deliver(b.ctx, Delivery(t, 1, Mail))
		shown(where, fmt.Sprintf("%+v %v %+v", receipt, err, err))
		var answered *sinks.AttemptError
		if errors.As(err, &answered) {
			shown(where, answered.Answer+" "+answered.Detail)
		}
		if c, ok := s.(sinks.Checker); ok {
			shown(where+", checked,", fmt.Sprintf("%+v", c.Check(b.ctx)))
		}
		if p, ok := s.(sinks.Previewer); ok {
			r, err := p.Preview(Delivery(t, 1, Mail))
			shown(where+", previewed,", fmt.Sprintf("%+v %v %s", r, err, r.Body))
		}
		shown(where+", printed,", fmt.Sprintf("%v %s", s, err))
	}
	try("the living sink", b.Sink)
	b.Refuse(t)
	try("the refusing sink", b.Sink)
	if b.Dead != nil {
		try("the dead sink", b.Dead)
	}
	if b.Denied != nil {
		try("the denied sink", b.Denied)
	}
}

func preview(t *testing.T, b *bench) {
	p, ok := b.Sink.(sinks.Previewer)
	if !ok {
		return
	}
	r, err := p.Preview(Delivery(t, 1, Mail))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Stored(t, ID(1)); len(got) != 0 {
		t.Errorf("the destination has %d copies", len(got))
	}
	b.deliver(t, Delivery(t, 1, Mail))
	if got := b.Stored(t, ID(1)); len(got) != 1 || !bytes.Equal(bytes.TrimSpace(got[0]), bytes.TrimSpace(r.Body)) {
		t.Errorf("the preview is not what was delivered:\n%s\n%s", r.Body, got)
	}
}

func check(t *testing.T, b *bench) {
	c, ok := b.Sink.(sinks.Checker)
	if !ok {
		return
	}
	findings := c.Check(b.ctx)
	if len(findings) == 0 {
		t.Error("nothing was looked at")
	}
	for _, f := range findings {
		if !f.OK || f.Step == "" || f.Said == "" {
			t.Errorf("found %+v", f)
		}
	}
	if b.Dead == nil {
		return
	}
	failed := false
	for _, f := range b.Dead.(sinks.Checker).Check(b.ctx) {
		if !f.OK && f.Fix == "" {
			t.Errorf("what failed says not what to change: %+v", f)
		}
		failed = failed || !f.OK
	}
	if !failed {
		t.Error("a check of nobody finds nothing wrong")
	}
}

func closed(t *testing.T, b *bench) {
	b.deliver(t, Delivery(t, 1, Mail))
	b.done = true
	if err := b.Sink.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := b.Stored(t, ID(1)); len(got) != 1 {
		t.Errorf("after Close the destination has %d copies", len(got))
	}
}
