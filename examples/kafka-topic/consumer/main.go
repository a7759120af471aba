// A consumer of the topic: go run ./consumer (KAFKA_BROKER is set). It works on every
// mail at least once, and on none again that it has seen.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	c, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("KAFKA_BROKER")), kgo.ConsumerGroup("tickets"), kgo.ConsumeTopics("mail"), kgo.DisableAutoCommit())
	check(err)
	seen := map[string]bool{} // in earnest: a table beside what the work writes
	for {
		fetched := c.PollFetches(context.Background())
		check(fetched.Err())
		for _, r := range fetched.Records() {
			id := ""
			for _, h := range r.Headers {
				if h.Key == "postferry-id" {
					id = string(h.Value)
				}
			}
			if !seen[id] {
				fmt.Println(id, string(r.Value)) // the work
				seen[id] = true
			}
		}
		check(c.CommitUncommittedOffsets(context.Background()))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
