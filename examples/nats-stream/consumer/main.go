// A consumer of the stream: go run ./consumer (NATS_URL is set). A message is gone
// for it once it is acknowledged, and comes again otherwise.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	conn, err := nats.Connect(os.Getenv("NATS_URL"))
	check(err)
	js, err := jetstream.New(conn)
	check(err)
	tickets, err := js.CreateOrUpdateConsumer(context.Background(), "MAIL", jetstream.ConsumerConfig{Durable: "tickets", FilterSubject: "mail.>"})
	check(err)
	messages, err := tickets.Messages()
	check(err)
	for {
		m, err := messages.Next()
		check(err)
		fmt.Println(m.Headers().Get(nats.MsgIdHdr), string(m.Data())) // the work
		check(m.DoubleAck(context.Background()))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
