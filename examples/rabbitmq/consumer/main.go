// A consumer of the queue: go run ./consumer (AMQP_URL is set). It works on every
// mail at least once, and forgets those it has finished when it ends.
package main

import (
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	conn, err := amqp.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		log.Fatal(err)
	}
	channel, err := conn.Channel()
	if err != nil {
		log.Fatal(err)
	}
	// postferry declares nothing. A quorum queue keeps its messages on several nodes.
	if _, err := channel.QueueDeclare("mail", true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		log.Fatal(err)
	}
	messages, err := channel.Consume("mail", "", false, false, false, false, nil)
	if err != nil {
		log.Fatal(err)
	}
	done := map[string]bool{} // keep it where your work is kept
	for m := range messages {
		if !done[m.MessageId] { // the same for a mail that comes twice
			fmt.Println(string(m.Body)) // the work
			done[m.MessageId] = true
		}
		if err := m.Ack(false); err != nil {
			log.Fatal(err)
		}
	}
}
