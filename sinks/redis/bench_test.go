package redis

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// BenchmarkDeliver is one entry for each mail of 4 KB, 8 at once, on a server that
// syncs before it answers; beside it go-redis adds the same octets from as many
// goroutines, each with a connection of the pool.
func BenchmarkDeliver(b *testing.B) {
	server := mailtest.StartRedis(b)
	rendered, err := payload.Renderer{}.Render(sinktest.Delivery(b, 1, sinktest.Numbered(1)))
	if err != nil {
		b.Fatal(err)
	}
	octets, _ := rendered.ReadAll()
	c := client(b, server.Addr)
	sinktest.Bench(b, makeSink(b, options(server.Addr)), 8, func() error {
		return c.XAdd(context.Background(), &redis.XAddArgs{Stream: "peer", Values: []any{"id", sinktest.ID(1), "body", octets}}).Err()
	})
}
