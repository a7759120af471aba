package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// BenchmarkDeliver is one delivery of 4 KB on each of 8 connections, signed,
// beside what net/http takes to post the same octets. What is recorded durably is
// shown with a sink that does nothing besides: the rate of the spool itself, which
// also routes and parses, and which no webhook can pass.
func BenchmarkDeliver(b *testing.B) {
	mail := "Subject: bench\r\n\r\n" + strings.Repeat("A line of a mail of four kilobytes in all.\r\n", 92)
	bench := func(b *testing.B, post func(url string, parallel func(each func() error))) {
		r := mailtest.NewReceiver(b, mailtest.CountOnly)
		b.SetParallelism(4)
		post(r.URL, func(each func() error) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := each(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	}
	d := sinktest.Delivery(b, 1, mail)
	b.Run("webhook", func(b *testing.B) {
		bench(b, func(url string, parallel func(func() error)) {
			s := makeSink(b, Options{URL: url, Secret: secret.New(keyOne)}, sinks.Env{Concurrency: 8})
			parallel(func() error { _, err := s.Deliver(context.Background(), d); return err })
		})
	})
	b.Run("webhook, recorded", func(b *testing.B) {
		r := mailtest.NewReceiver(b, mailtest.CountOnly)
		recorded(b, mail, makeSink(b, Options{URL: r.URL, Secret: secret.New(keyOne)}, sinks.Env{Concurrency: 8}))
	})
	b.Run("nothing, recorded", func(b *testing.B) { recorded(b, mail, nothing{}) })
	b.Run("net-http", func(b *testing.B) {
		rendered, err := payload.Renderer{}.Render(d)
		if err != nil {
			b.Fatal(err)
		}
		octets, _ := rendered.ReadAll()
		bench(b, func(url string, parallel func(func() error)) {
			t := &http.Transport{MaxIdleConnsPerHost: 8}
			defer t.CloseIdleConnections()
			client := &http.Client{Transport: t}
			parallel(func() error {
				resp, err := client.Post(url, "application/json", bytes.NewReader(octets))
				if err != nil {
					return err
				}
				io.Copy(io.Discard, resp.Body)
				return resp.Body.Close()
			})
		})
	})
}

// nothing takes every mail without a look at it.
type nothing struct{}

func (nothing) Deliver(context.Context, *sinks.Delivery) (sinks.Receipt, error) {
	return sinks.Receipt{}, nil
}

func (nothing) Close() error { return nil }

// recorded takes mails from a spool, which is filled before the clock runs, and
// records every delivery durably.
func recorded(b *testing.B, mail string, to sinks.Sink) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	sp, err := spool.Open(ctx, store, spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer sp.Close()
	var next atomic.Int64
	b.SetParallelism(32) // so that commits are shared
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			octets, err := sp.Stage(ctx, strings.NewReader(fmt.Sprintf("X-N: %d\r\n%s", n, mail)))
			if err != nil {
				b.Error(err)
				return
			}
			key := spool.BoxKey{Account: "u@mail.example", Box: "INBOX"}
			if _, err := sp.Take(ctx, spool.Taken{Mailbox: "in", Protocol: "imap", BoxKey: key, UID: fmt.Sprintf("1/%d", n), Octets: octets}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	var left atomic.Int64
	left.Store(next.Load())
	d := sinks.New(sp, map[string][]sinks.Route{"in": {{To: "app"}}}, map[string]sinks.Destination{"app": {Sink: to, Concurrency: 8}},
		sinks.Options{Observe: func(e sinks.Event) {
			if e.Delivery != "" && left.Add(-1) == 0 {
				cancel()
			}
		}})
	b.ResetTimer()
	if err := d.Run(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(next.Load())/b.Elapsed().Seconds(), "mails/s")
}
