package imap

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
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
	var err error
	if x.caps.Has(imap.CapIdle) {
		err = x.idle(ctx, limit.C)
	} else {
		err = x.ask(ctx, limit.C)
	}
	return err
}

// idle waits in IDLE. The server may end it by itself; imapclient would not see
// that.
func (x *session) idle(ctx context.Context, limit <-chan time.Time) error {
	if x.heardNews() {
		return ctx.Err()
	}
	var idle *imapclient.IdleCommand
	err := x.within(ctx, waiting, x.src.o.IdleReply, x.src.o.IdleReply, func() (err error) {
		drain(x.idled)
		idle, err = x.client.Idle()
		return err
	})
	if err != nil {
		return err
	}
	over := false
	select {
	case <-x.news:
		x.told = true
	case <-limit:
	case <-ctx.Done():
	case <-x.idled:
		over = true
	case <-x.client.Closed():
		return x.connectionError(waiting, nil)
	}
	over = over || drain(x.idled)
	// The session is used further after ctx ended, so ctx is left out here.
	err = x.within(context.WithoutCancel(ctx), waiting, x.src.o.IdleReply, x.src.o.IdleReply, func() error {
		x.g.swallow.Store(over) // DONE is for an IDLE that is under way
		if err := idle.Close(); err != nil {
			return err
		}
		return idle.Wait()
	})
	if err != nil {
		return err
	}
	return ctx.Err()
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
