package sinks

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/parser"
)

// With 500 mails a second to a hundred destinations, of which one hangs for 30
// seconds at each request and then fails, the others get their mail as soon as
// without it. It is two seconds of mail, or with POSTFERRY_SOAK two minutes.
func TestADestinationThatHangsAddsNothingToTheLatencyOfTheOthers(t *testing.T) {
	mails := 1000
	if os.Getenv("POSTFERRY_SOAK") != "" {
		mails = 60_000
	}
	without := latencies(t, mails, func(ctx context.Context) error { return nil })
	with := latencies(t, mails, func(ctx context.Context) error {
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
		}
		return errDown
	})
	p99 := func(all []time.Duration) time.Duration { return all[len(all)*99/100] }
	if want := mails / 100 * 99; len(with) != want || len(without) != want {
		t.Fatalf("%d and %d deliveries, not %d", len(without), len(with), want)
	}
	t.Logf("p50 %s and %s, p99 %s and %s", without[len(without)/2], with[len(with)/2], p99(without), p99(with))
	if p99(without) < 20*time.Millisecond || p99(with) > p99(without)*11/10 {
		t.Errorf("p99 is %s without, %s with the destination that hangs", p99(without), p99(with))
	}
}

// latencies are how long mails took from being durable to having been accepted, at
// every destination but number 50, which answers as it is told.
func latencies(t *testing.T, mails int, fifty func(context.Context) error) (all []time.Duration) {
	inWorld(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		taken := map[string]time.Time{}
		destinations, routes := map[string]Destination{}, []Route(nil)
		for i := range 100 {
			name := fmt.Sprintf("s%02d", i)
			s := script(func(ctx context.Context, d *Delivery, _ int) error {
				if i == 50 {
					return fifty(ctx)
				}
				select {
				case <-time.After(time.Duration(5+len(*d.Message.Subject)%7+i%20) * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, time.Since(taken[*d.Message.Subject]))
				return nil
			})
			destinations[name] = Destination{Sink: s}
			routes = append(routes, Route{To: name, When: func(m *parser.Message, _ Origin) (bool, error) {
				return (*m.Subject)[:len(name)] == name, nil
			}})
		}
		stop := w.run(destinations, Options{Grace: time.Nanosecond}, routes...)
		for first := 0; first < mails; first += 10 { // ten share their commit
			var ten sync.WaitGroup
			for n := first; n < first+10; n++ {
				subject := fmt.Sprintf("s%02d, mail %d", n*7%100, n)
				mu.Lock()
				taken[subject] = time.Now()
				mu.Unlock()
				ten.Go(func() {
					if _, err := takeInto(w.spool, n, "Subject: "+subject+"\r\n\r\nbody\r\n"); err != nil {
						t.Error(err)
					}
				})
			}
			ten.Wait()
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		stop()
	})
	slices.Sort(all)
	return all
}
