// A consumer of the stream: go run ./consumer (REDIS_URL is set). It works on every
// mail at least once, and on none again that it has finished.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal("REDIS_URL is no redis:// URL")
	}
	c, ctx := redis.NewClient(options), context.Background()
	c.XGroupCreateMkStream(ctx, "mail", "tickets", "0") // an error says that it is there
	for from := "0"; ; from = ">" {                     // what was begun before a crash, then what is new
		read, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "tickets", Consumer: "one", Streams: []string{"mail", from}, Count: 16}).Result()
		if err != nil {
			log.Fatal(err)
		}
		for _, entry := range read[0].Messages {
			seen := "seen:" + fmt.Sprint(entry.Values["id"]) // the same for a mail that comes twice
			if c.Exists(ctx, seen).Val() == 0 {
				fmt.Println(entry.Values["body"])    // the work
				c.Set(ctx, seen, "", 8*24*time.Hour) // longer than postferry tries
			}
			if err := c.XAck(ctx, "mail", "tickets", entry.ID).Err(); err != nil {
				log.Fatal(err)
			}
		}
	}
}
