package amqp

import (
	"context"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

func full(t *testing.T, b broker) {
	q := b.queue(t, name(), amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	s := makeSink(t, options(b.Addr, q))
	if err := deliver(t, s, 1); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, s, 2); !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "basic.nack") {
		t.Errorf("the error is %v", err)
	}
	if all := b.messages(t, q); len(all) != 1 || all[0].MessageId != sinktest.ID(1) {
		t.Errorf("%d messages", len(all))
	}
}

func lostConfirmation(t *testing.T, b broker) {
	q := b.queue(t, name(), nil)
	gate := mailtest.NewGate(t, b.Addr)
	s := makeSink(t, options(gate.Addr, q))
	if err := deliver(t, s, 1); err != nil {
		t.Fatal(err)
	}
	gate.CutAnswer()
	if err := deliver(t, s, 2); err == nil || sinks.IsSinkFault(err) || sinks.IsPermanent(err) || sinks.IsMailFault(err) {
		t.Errorf("the error is %v", err)
	}
	if err := deliver(t, s, 2); err != nil {
		t.Errorf("again: %v", err)
	}
	count := map[string]int{}
	for _, m := range b.messages(t, q) {
		count[m.MessageId]++
	}
	if count[sinktest.ID(1)] != 1 || count[sinktest.ID(2)] != 2 {
		t.Errorf("%v", count)
	}
}

func lostBetween(t *testing.T, b broker) {
	gate := mailtest.NewGate(t, b.Addr)
	s := makeSink(t, options(gate.Addr, b.queue(t, name(), nil)))
	if err := deliver(t, s, 1); err != nil {
		t.Fatal(err)
	}
	c, err := s.link.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gate.Cut()
	<-c.unwatched
	if err := deliver(t, s, 2); err != nil {
		t.Error(err)
	}
}

func tooLargeForIt(t *testing.T, b broker) {
	q := b.queue(t, name(), nil)
	b.Eval("application:set_env(rabbit, max_message_size, 100000)")
	defer b.Eval("application:set_env(rabbit, max_message_size, 134217728)")
	gate := mailtest.NewGate(t, b.Addr)
	s := makeSink(t, options(gate.Addr, q))
	if err := deliver(t, s, 0); err != nil { // so that its connection has worked
		t.Fatal(err)
	}
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 10_000)
	_, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, large))
	if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "the broker takes 100000") {
		t.Errorf("the error is %v", err)
	}
	if err := deliver(t, s, 2); err != nil {
		t.Errorf("the next: %v", err)
	}
	c, err := s.link.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.Eval("application:set_env(rabbit, max_message_size, 134217728)")
	gate.Cut() // as a restart of the broker would
	<-c.unwatched
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 3, large)); err != nil {
		t.Errorf("when the broker takes more: %v", err)
	}
}

func alarm(t *testing.T, b broker) {
	q := b.queue(t, name(), nil)
	b.SetDiskFreeLimit(1 << 60)
	defer b.SetDiskFreeLimit(1_000_000)
	s := makeSink(t, options(b.Addr, q))
	err := deliver(t, s, 1)
	if !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "low on disk") {
		t.Errorf("the error is %v", err)
	}
	if err := deliver(t, s, 2); !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "low on disk") {
		t.Errorf("of the next the error is %v", err)
	}
	b.SetDiskFreeLimit(1_000_000)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for err = deliver(t, s, 2); err != nil; err = deliver(t, s, 2) {
		if ctx.Err() != nil {
			t.Fatalf("after the alarm: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, m := range b.messages(t, q) {
		if m.MessageId == sinktest.ID(2) {
			return
		}
	}
	t.Error("what was delivered after the alarm is not there")
}

func killed(t *testing.T, b broker) {
	hurt(t, b, func(*Sink, *mailtest.Gate) { b.Kill() }, b.Launch)
}

func diskFull(t *testing.T, b broker) {
	full := func(s *Sink, gate *mailtest.Gate) {
		gate.Silence(nil) // so that mails are left when the disk is full
		b.SetDiskFreeLimit(1 << 60)
		c, err := s.link.Use(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, blocked := c.isBlocked()
		gate.Open()
		select {
		case <-blocked: // by the next message that is published
		case <-time.After(time.Minute):
			t.Error("the broker took messages all the same")
		}
	}
	hurt(t, b, full, func() { b.SetDiskFreeLimit(1_000_000) })
}

// hurt delivers to a queue of its own, through a gate, while something is done to the
// broker.
func hurt(t *testing.T, b broker, do func(*Sink, *mailtest.Gate), back func()) {
	q := b.queue(t, name(), nil)
	gate := mailtest.NewGate(t, b.Addr)
	s := makeSink(t, options(gate.Addr, q))
	sinktest.Load{
		Sink: s, Hurt: func() { do(s, gate) }, Back: back,
		Stored: func() map[string]int {
			all := map[string]int{}
			for _, m := range b.messages(t, q) {
				all[m.MessageId]++
			}
			return all
		},
	}.Run(t)
}
