package fetcher

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// safetyPoll is the longest a mailbox goes without a whole listing while its
	// session is open: a server may take an IDLE and never say a word, and a
	// connection may be dead without anyone having been told.
	safetyPoll = 5 * time.Minute
	// Pauses after news that brought no mail. A server that tells of news without
	// end is then polled at this pace.
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// Reasons to leave Wait.
var (
	errTime = errors.New("it is time for a poll")
	errDue  = errors.New("settlements are due")
)

// attend polls once and keeps the session open: it polls again the moment the
// server tells of mail in the first box, by the schedule, and every safetyPoll at
// the latest, and carries out settlements when they are due. It returns when the
// session has failed, with the error, or when the session cannot wait.
func (f *Fetcher) attend(ctx context.Context, m *Mailbox, recovered func()) Report {
	p := f.newPoll(m)
	p.stays = true
	r := f.run(ctx, p)
	if r.Err != nil || r.Paused {
		return r
	}
	s := p.s
	defer func() { p.close() }() // again after a failure, which does nothing
	w, ok := s.(Watcher)
	if !ok || p.ended {
		return r
	}
	stop, ok := f.accounts.of(m).stay()
	if !ok {
		return r
	}
	defer stop()
	recovered()
	fruitless := 0
	for {
		reason, err := f.watch(ctx, m, w, p.boxes[0], r.Unsettled == 0)
		if err != nil {
			if ctx.Err() == nil {
				f.sp.Listed(context.WithoutCancel(ctx), m.Name, err)
			}
			return Report{Mailbox: m.Name, Lost: true, Err: err}
		}
		next := f.newPoll(m)
		next.s, next.stays = s, true
		if reason == errDue {
			err := f.settleOnce(ctx, next)
			f.tellDeclined(next)
			if err != nil {
				return Report{Mailbox: m.Name, Err: err}
			}
			r.Unsettled = next.report.Unsettled
			continue
		}
		if r = f.run(ctx, next); r.Err != nil {
			return r
		}
		p.boxes = next.boxes
		if reason != nil || r.Taken > 0 {
			fruitless = 0
			continue
		}
		fruitless++
		if err := f.clock.Sleep(ctx, pause(fruitless)); err != nil {
			return Report{Mailbox: m.Name, Err: err}
		}
	}
}

// pause is how long to leave a server alone after so many news without mail.
func pause(fruitless int) time.Duration {
	if fruitless < 2 {
		return 0
	}
	return min(firstPause<<min(fruitless-2, 16), longestPause)
}

// watch waits for news of box (reason nil), the next poll (errTime) or, where
// settle is set, settlements (errDue).
func (f *Fetcher) watch(ctx context.Context, m *Mailbox, w Watcher, box string, settle bool) (reason, err error) {
	waiting, leave := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer leave(nil)
	now := f.clock.Now()
	next, again := f.next(m, now)
	if latest := now.Add(safetyPoll); !again || next.After(latest) {
		next = latest
	}
	wg.Go(func() {
		if f.clock.Sleep(waiting, next.Sub(now)) == nil {
			leave(errTime)
		}
	})
	if settle {
		wg.Go(func() {
			if f.waitDue(waiting, m.Name) == nil {
				leave(errDue)
			}
		})
	}
	err = w.Wait(waiting, box)
	if waiting.Err() == nil {
		return nil, err
	}
	reason = context.Cause(waiting)
	if _, failed := errors.AsType[*Error](err); failed {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return reason, nil
}
