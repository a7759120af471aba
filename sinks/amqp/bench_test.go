package amqp

import (
	"context"
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// BenchmarkDeliver is one persistent message of 4 KB for each mail, 8 at once, into a
// durable queue, confirmed; beside it amqp091-go publishes the same octets to another
// from as many goroutines, on one channel as well.
func BenchmarkDeliver(b *testing.B) {
	rabbit := broker{mailtest.StartRabbitMQ(b)}
	rendered, err := payload.Renderer{}.Render(sinktest.Delivery(b, 1, sinktest.Numbered(1)))
	if err != nil {
		b.Fatal(err)
	}
	octets, _ := rendered.ReadAll()
	peer := rabbit.queue(b, name(), nil)
	conn, err := amqp.Dial(options(rabbit.Addr, "").URL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	c, err := conn.Channel()
	if err == nil {
		err = c.Confirm(false)
	}
	if err != nil {
		b.Fatal(err)
	}
	s := makeSink(b, options(rabbit.Addr, rabbit.queue(b, name(), nil)))
	sinktest.Bench(b, s, 8, func() error {
		confirmed, err := c.PublishWithDeferredConfirm("", peer, true, false, amqp.Publishing{MessageId: "msg", DeliveryMode: amqp.Persistent, Body: octets})
		if err != nil {
			return err
		}
		if acked, err := confirmed.WaitContext(context.Background()); err != nil || !acked {
			return errors.New("not confirmed")
		}
		return nil
	})
}
