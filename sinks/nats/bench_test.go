package nats

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// BenchmarkDeliver is beside nats.go, which publishes the same octets and waits for
// each PubAck, as many at once.
func BenchmarkDeliver(b *testing.B) {
	n := mailtest.StartNATS(b)
	at := newStream(b, n)
	s := makeSink(b, options(n.URL), payload.Renderer{})
	m, made, err := s.message(sinktest.Delivery(b, 1, sinktest.Numbered(1)), 0)
	must(b, err)
	defer made.Release()
	var count atomic.Int64
	sinktest.Bench(b, s, 64, func() error {
		id := fmt.Sprint("client", count.Add(1)) // a repeated one would not be stored
		copied := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{jetstream.MsgIDHeader: {id}}}
		_, err := at.js.PublishMsg(context.Background(), copied)
		return err
	})
}
