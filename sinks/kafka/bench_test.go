package kafka

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postferry/postferry/internal/mailtest/kafkad"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// BenchmarkDeliver is beside franz-go, which produces the same octets and waits for
// each to be confirmed, as many at once. The broker runs in the same process.
func BenchmarkDeliver(b *testing.B) {
	broker := kafkad.Start(b, []string{"mail"})
	s := makeSink(b, Options{Brokers: []string{broker.Addr}, Topic: "mail"}, payload.Renderer{})
	r, made, err := s.record(sinktest.Delivery(b, 1, sinktest.Numbered(1)))
	must(b, err)
	defer made.Release()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr), kgo.ProducerLinger(0))
	must(b, err)
	defer client.Close()
	sinktest.Bench(b, s, 64, func() error {
		return client.ProduceSync(context.Background(), &kgo.Record{Topic: "mail", Value: r.Value, Headers: r.Headers}).FirstErr()
	})
}
