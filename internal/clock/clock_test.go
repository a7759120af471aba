package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/internal/clock"
)

func TestSystemSleepsUntilTheTimeOrTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock.System
		start := c.Now()
		if err := c.Sleep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(start); got != time.Hour {
			t.Errorf("slept %v, want 1h", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sleep in an ended context: %v", err)
		}
	})
}

func TestFakeWakesThoseWhoseTimeHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := clock.NewFake(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
		short, long := make(chan error, 1), make(chan error, 1)
		go func() { short <- f.Sleep(t.Context(), time.Second) }()
		go func() { long <- f.Sleep(t.Context(), time.Hour) }()
		synctest.Wait()
		f.Advance(time.Minute)
		synctest.Wait()
		if len(short) != 1 || len(long) != 0 {
			t.Fatalf("after a minute: the short sleeper woke %d times, the long %d; want 1 and 0", len(short), len(long))
		}
		f.Advance(time.Hour)
		if err := <-long; err != nil {
			t.Error(err)
		}
		if got := f.Now(); !got.Equal(time.Date(2026, 11, 23, 13, 1, 0, 0, time.UTC)) {
			t.Errorf("Now() = %v", got)
		}
	})
}
