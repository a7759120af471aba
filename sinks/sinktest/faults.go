package sinktest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postferry/postferry/sinks"
)

// numbered is the mail with a subject of its own.
func numbered(n int) string {
	return strings.Replace(Mail, "Order 1042", fmt.Sprintf("Order %d ", n), 1)
}

// restarted delivers as the dispatcher does, each mail until it is accepted, while
// the destination ends and comes back.
func restarted(t *testing.T, b *bench) {
	if b.Restart == nil {
		return
	}
	const mails, workers = 48, 8
	var all sync.WaitGroup
	var next, accepted atomic.Int64
	third := make(chan struct{})
	for range workers {
		all.Go(func() {
			for n := int(next.Add(1)); n <= mails; n = int(next.Add(1)) {
				for try := 1; b.ctx.Err() == nil; try++ {
					d := Delivery(t, n, numbered(n))
					d.Attempt = try
					_, err := b.Sink.Deliver(b.ctx, d)
					if err == nil {
						break
					}
					if sinks.IsPermanent(err) || sinks.IsMailFault(err) {
						t.Errorf("a restart is blamed on a mail: %v", err)
						break
					}
					time.Sleep(5 * time.Millisecond) // so that a destination that is down costs no processor
				}
				if accepted.Add(1) == mails/3 {
					close(third)
				}
			}
		})
	}
	<-third
	b.Restart(t)
	all.Wait()
	if b.ctx.Err() != nil {
		t.Fatal("not all were accepted in time")
	}
	for n := 1; n <= mails; n++ {
		got := b.Stored(t, ID(n))
		if len(got) == 0 || !bytes.Contains(got[0], fmt.Appendf(nil, "Order %d ", n)) {
			t.Errorf("of delivery %d, which was accepted, the destination has %d copies", n, len(got))
		}
		for _, again := range got {
			if !bytes.Equal(again, got[0]) {
				t.Errorf("two copies of delivery %d differ", n)
			}
		}
	}
}

func tooLarge(t *testing.T, b *bench) {
	if b.Large == nil {
		return
	}
	raw := b.Large(t)
	_, err := b.Sink.Deliver(b.ctx, Delivery(t, 1, raw))
	if !sinks.IsPermanent(err) && !sinks.IsMailFault(err) || sinks.IsSinkFault(err) {
		t.Errorf("the error is %v", err)
	}
	if got := b.Stored(t, ID(1)); len(got) != 0 {
		t.Errorf("the destination has %d copies", len(got))
	}
	b.Accept(t)
	b.deliver(t, Delivery(t, 2, Mail))
	if got := b.Stored(t, ID(2)); len(got) != 1 {
		t.Errorf("afterwards the destination has %d copies", len(got))
	}
}

func denied(t *testing.T, b *bench) {
	if b.Denied == nil {
		return
	}
	var looking sync.WaitGroup
	if c, ok := b.Denied.(sinks.Checker); ok {
		looking.Go(func() { // meanwhile, since some destinations let who is refused wait
			failed := false
			for _, f := range c.Check(b.ctx) {
				if !f.OK && f.Fix == "" {
					t.Errorf("what failed says not what to change: %+v", f)
				}
				failed = failed || !f.OK
			}
			if !failed && b.CheckSignsIn {
				t.Error("a check with refused credentials finds nothing wrong")
			}
		})
	}
	defer looking.Wait()
	_, err := b.Denied.Deliver(b.ctx, Delivery(t, 1, Mail))
	if !sinks.IsSinkFault(err) || sinks.IsPermanent(err) || sinks.IsMailFault(err) {
		t.Errorf("the error is %v", err)
	}
	if got := b.Stored(t, ID(1)); len(got) != 0 {
		t.Errorf("the destination has %d copies", len(got))
	}
}

// closedInFlight closes the sink as deliveries begin. What said yes is there; what
// said no blames no mail.
func closedInFlight(t *testing.T, b *bench) {
	const mails = 16
	var all sync.WaitGroup
	errs := make([]error, mails)
	begun := make(chan struct{}, mails)
	for n := range mails {
		all.Go(func() {
			d := Delivery(t, n, numbered(n))
			begun <- struct{}{}
			_, errs[n] = b.Sink.Deliver(b.ctx, d)
		})
	}
	for range mails / 2 {
		<-begun
	}
	b.done = true
	if err := b.Sink.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	all.Wait()
	for n, err := range errs {
		switch got := b.Stored(t, ID(n)); {
		case err == nil && len(got) != 1:
			t.Errorf("of delivery %d, which was accepted, the destination has %d copies", n, len(got))
		case sinks.IsPermanent(err), sinks.IsMailFault(err):
			t.Errorf("delivery %d ended with %v", n, err)
		}
	}
}
