package sinks

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAtMostConcurrencyDeliveriesRunAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := script(func(context.Context, *Delivery, int) error { time.Sleep(time.Second); return nil })
		stop := w.run(map[string]Destination{"app": {Sink: s, Concurrency: 3}}, Options{})
		w.takeAll(12)
		time.Sleep(time.Minute)
		if s.atOnce() != 3 || w.sink("app").Delivered != 12 {
			t.Errorf("at most %d at once, and the sink is %+v", s.atOnce(), w.sink("app"))
		}
		stop()
	})
}

func TestDeliveriesBeginAtTheRate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := accepts()
		stop := w.run(map[string]Destination{"app": {Sink: s, Interval: time.Minute}}, Options{})
		w.takeAll(5)
		time.Sleep(time.Hour)
		tries := s.seen()
		if len(tries) != 5 {
			t.Fatalf("%d tries", len(tries))
		}
		for i, tr := range tries {
			if tr.After != time.Duration(i)*time.Minute {
				t.Errorf("delivery %d began after %s", i, tr.After)
			}
		}
		stop()
	})
}

// A mail that waits for its turn waits on when the sink is held meanwhile.
func TestAHeldSinkGetsNothingFromTheWaitingLine(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := refuses(SinkFault(errDown))
		stop := w.run(map[string]Destination{"app": {Sink: s, Interval: time.Second}}, Options{})
		w.takeAll(8)
		time.Sleep(4 * time.Second) // before the first probe
		if n := len(s.seen()); n != 1 {
			t.Errorf("%d deliveries to a sink that is held", n)
		}
		stop()
	})
}

func TestOctetsInFlightAreBoundedAndALargeMailGetsItsTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var now, most atomic.Int64
		var largeAlone atomic.Bool
		s := script(func(_ context.Context, d *Delivery, _ int) error {
			size := d.Octets.Size()
			if sum := now.Add(size); sum > most.Load() && size < 10_000 {
				most.Store(sum)
			} else if size > 10_000 {
				largeAlone.Store(sum == size)
			}
			// Of different length, so that at no time all end together.
			time.Sleep(time.Second + time.Duration(len(*d.Message.Subject))*100*time.Millisecond)
			now.Add(-size)
			return nil
		})
		stop := w.run(map[string]Destination{"app": {Sink: s, Concurrency: 8, InFlight: 10_000}}, Options{})
		small := strings.Repeat("small body\r\n", 240) // about 3 KB
		for i := range 60 {
			w.takeRaw("Subject: " + strings.Repeat("s", 1+i%7) + "\r\nX: " + strings.Repeat("i", i) + "\r\n\r\n" + small)
			if i == 9 {
				w.takeRaw("Subject: large\r\n\r\n" + strings.Repeat("large body\r\n", 2000))
			}
		}
		time.Sleep(time.Hour)
		if most.Load() > 10_000 {
			t.Errorf("%d octets were in flight", most.Load())
		}
		if !largeAlone.Load() || w.sink("app").Delivered != 61 {
			t.Errorf("the large mail went alone: %v; the sink is %+v", largeAlone.Load(), w.sink("app"))
		}
		for i, tr := range s.seen() {
			if tr.Subject == "large" && i > 25 {
				t.Errorf("the large mail, taken as number 11, was number %d", i+1)
			}
		}
		stop()
	})
}

func TestASinkIsToldWhatItHasDoneOfADelivery(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var told []string
		s := script(func(_ context.Context, d *Delivery, n int) error {
			told = append(told, d.Progress)
			switch n {
			case 1:
				return &AttemptError{Progress: "a has it", Err: errDown}
			case 2:
				return errDown
			}
			return nil
		})
		stop := w.run(map[string]Destination{"app": {Sink: s}}, Options{})
		w.take("one")
		time.Sleep(time.Hour)
		stop()
		if strings.Join(told, "|") != "|a has it|a has it" {
			t.Errorf("told %q", told)
		}
	})
}

func TestADeliveryEndsAtTheTimeoutOfItsSink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s, told := hangs(), &events{}
		stop := w.run(map[string]Destination{"app": {Sink: s, Timeout: time.Minute, Concurrency: 1}}, Options{Observe: told.observe})
		w.take("one")
		time.Sleep(time.Minute)
		synctest.Wait()
		if o := told.of("app"); len(o) != 1 || o[0].Attempt.Duration != time.Minute {
			t.Errorf("%+v", o)
		}
		stop()
	})
}
