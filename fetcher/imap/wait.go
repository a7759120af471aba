package imap

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

const waiting = "waiting for mail"

// Wait implements fetcher.Watcher, by IDLE (RFC 2177) where the server has it and
// by NOOP otherwise. News are mails that came: that some went is for the next
// listing to see.
func (x *session) Wait(ctx context.Context, name string) error {
	if _, err := x.open(ctx, name, !x.src.o.ReadOnly); err != nil {
		return err
	}
	limit := time.NewTimer(x.src.o.IdleRenew)
	defer limit.Stop()
	if x.heardNews() {
		return ctx.Err()
	}
	if x.caps.Has(imap.CapIdle) && !x.noIdle {
		return x.idle(ctx, limit.C)
	}
	return x.ask(ctx, limit.C)
}

// ask waits with NOOP, in answer to which the server says what is new (RFC 3501
// section 6.1.2).
func (x *session) ask(ctx context.Context, limit <-chan time.Time) error {
	tick := time.NewTicker(x.src.o.AskEvery)
	defer tick.Stop()
	for {
		if x.heardNews() {
			return ctx.Err()
		}
		select {
		case <-x.news:
			x.told = true
			return ctx.Err()
		case <-limit:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-x.client.Closed():
			return x.connectionError(waiting, nil)
		case <-tick.C:
		}
		err := x.do(context.WithoutCancel(ctx), waiting, func() error { return x.client.Noop().Wait() })
		if err != nil {
			return err
		}
	}
}

// heardNews reports whether there are news that came outside of Wait.
func (x *session) heardNews() bool {
	news := drain(x.news)
	x.told = x.told || news
	return news
}

// counted notes how many mails the selected box holds now.
func (x *session) counted(n int64) {
	before := x.exists.Swap(n)
	if n > before && !x.opening.Load() {
		notify(x.news)
	}
}

// expunged notes that the selected box holds one mail less.
func (x *session) expunged() {
	if x.exists.Load() > 0 {
		x.exists.Add(-1)
	}
}

// drain makes a channel of one not ready, and reports whether it was.
func drain(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
