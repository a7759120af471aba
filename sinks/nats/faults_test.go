package nats

import (
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	n := mailtest.StartNATS(t)
	at := newStream(t, n)
	s := makeSink(t, options(n.URL), payload.Renderer{})
	sinktest.Load{Sink: s, Hurt: func() { n.Kill() }, Back: func() { n.Start(t) }, Stored: func() map[string]int {
		stored := map[string]int{}
		for _, m := range at.all() {
			stored[m.Header.Get("Nats-Msg-Id")]++
		}
		return stored
	}}.Run(t)
}

func TestAConnectionLostBetweenTwoMailsCostsNoAttempt(t *testing.T) {
	n := mailtest.StartNATS(t)
	newStream(t, n)
	gate := mailtest.NewGate(t, n.Addr)
	s := makeSink(t, options("nats://"+gate.Addr), payload.Renderer{})
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); err != nil {
		t.Fatal(err)
	}
	c, err := s.link.Use(t.Context())
	must(t, err)
	gate.Cut()
	<-c.ended
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 2, sinktest.Mail)); err != nil {
		t.Error(err)
	}
}
