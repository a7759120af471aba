package sinktest

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/sinks"
)

// Bench measures a sink that delivers mails of 4 KB: by itself ("delivered"), from
// a spool and with every outcome recorded durably ("recorded"), and beside it what a
// sink that does nothing gets from the same spool, which none can pass ("nothing,
// recorded"), and what peer takes to hand the same octets over ("client"), as many
// at once. peer may be nil.
func Bench(b *testing.B, s sinks.Sink, concurrency int, peer func() error) {
	var delivery atomic.Int64
	b.Run("delivered", func(b *testing.B) {
		first := Delivery(b, 1, Numbered(1))
		atOnceFor(b, concurrency, func() error {
			d := *first
			d.ID = fmt.Sprintf("msg_%d", delivery.Add(1)) // no two at once have the same
			_, err := s.Deliver(context.Background(), &d)
			return err
		})
	})
	if peer != nil {
		b.Run("client", func(b *testing.B) { atOnceFor(b, concurrency, peer) })
	}
	b.Run("recorded", func(b *testing.B) { recorded(b, s, concurrency) })
	b.Run("nothing, recorded", func(b *testing.B) { recorded(b, Nothing{}, concurrency) })
}

func atOnceFor(b *testing.B, concurrency int, do func() error) {
	var next atomic.Int64
	failed := make(chan error, concurrency)
	b.ResetTimer()
	for range concurrency {
		go func() {
			var err error
			for err == nil && next.Add(1) <= int64(b.N) {
				err = do()
			}
			failed <- err
		}()
	}
	for range concurrency {
		if err := <-failed; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

// recorded takes mails from a spool, which is filled before the clock runs, and
// records every delivery durably.
func recorded(b *testing.B, s sinks.Sink, concurrency int) {
	sp := Filled(b, b.N)
	defer sp.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var left atomic.Int64
	left.Store(int64(b.N))
	once := backoff.Schedule{Steps: backoff.Default().Steps[:1]}
	d := sinks.New(sp, map[string][]sinks.Route{"in": {{To: "app"}}}, map[string]sinks.Destination{"app": {Sink: s, Concurrency: concurrency, Retry: once}},
		sinks.Options{Observe: func(e sinks.Event) {
			if e.Delivery != "" && left.Add(-1) == 0 {
				cancel()
			}
		}})
	b.ResetTimer()
	spent := spentSoFar(b)
	if err := d.Run(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	b.ReportMetric(float64((spentSoFar(b)-spent).Microseconds())/float64(b.N), "cpu-µs/mail")
}

// spentSoFar is the processor time of this process.
func spentSoFar(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
