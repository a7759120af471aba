package sinks

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkDispatch is a mail of 4 KB from the spool through parsing, routing and
// delivery to a sink that does nothing, with every outcome recorded durably. The
// mails are taken before the clock runs. In order, each mail is a thread of its
// own, or all are one line.
func BenchmarkDispatch(b *testing.B) {
	for _, of := range []struct {
		sinks int
		order Order
	}{{1, ""}, {3, ""}, {1, ByThread}, {1, ByMailbox}} {
		sinks, name := of.sinks, fmt.Sprintf("%d sinks", of.sinks)
		if of.order != "" {
			name += " by " + string(of.order)
		}
		b.Run(name, func(b *testing.B) {
			sp := openSpool(b, filepath.Join(b.TempDir(), "store.db"), nil)
			defer sp.Close()
			body := strings.Repeat("A line of a mail of four kilobytes in all.\r\n", 92)
			taken := make(chan error, 64)
			for i := range b.N {
				if i >= cap(taken) {
					if err := <-taken; err != nil {
						b.Fatal(err)
					}
				}
				go func() {
					_, err := takeInto(sp, i, fmt.Sprintf("From: a@example.com\r\nSubject: mail %d\r\n\r\n%s", i, body))
					taken <- err
				}()
			}
			for range min(b.N, cap(taken)) {
				if err := <-taken; err != nil {
					b.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(context.Background())
			var left atomic.Int64
			left.Store(int64(b.N * sinks))
			destinations, routes := map[string]Destination{}, []Route{}
			for i := range sinks {
				name := fmt.Sprintf("s%d", i)
				destinations[name] = Destination{Sink: noop{}, Concurrency: 64, Order: of.order}
				routes = append(routes, Route{To: name})
			}
			d := New(sp, map[string][]Route{"in": routes}, destinations, Options{Observe: func(e Event) {
				if e.Delivery != "" && left.Add(-1) == 0 {
					cancel()
				}
			}})
			b.ResetTimer()
			if err := d.Run(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N*sinks)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

type noop struct{}

func (noop) Deliver(context.Context, *Delivery) (Receipt, error) { return Receipt{Detail: "ok"}, nil }

func (noop) Close() error { return nil }
