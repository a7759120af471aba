package fetcher

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/postferry/postferry/spool"
)

const (
	// settleGap is how long settlements that came due after a visit are gathered
	// before they are carried out.
	settleGap = 2 * time.Second
	// maxJitter bounds how much later than its schedule a mailbox is polled.
	maxJitter = 30 * time.Second
	// fullWait bounds the wait for room in the store: mail is to flow soon after
	// there is some.
	fullWait = 20 * time.Second
)

// Waits after failures, by how far the failure reaches. The last repeats. A
// refused sign-in is tried at most a dozen times a day: servers lock
// accounts that are tried more often.
var (
	sessionWaits = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute}
	accountWaits = []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour}
)

// tend visits one mailbox until ctx ends: at once, then by its schedule, when
// settlements are due, and again after a failure. A mailbox with Idle set is not
// left between visits, see attend.
func (f *Fetcher) tend(ctx context.Context, m *Mailbox) {
	defer f.accounts.of(m).tend()()
	var failures failures
	recovered := func() {
		if failures.end() {
			f.log.Info("mailbox recovered", "mailbox", m.Name)
			f.happened(m, Recovered, nil, time.Time{})
		}
	}
	for ctx.Err() == nil {
		r := f.visit(ctx, m, recovered)
		if ctx.Err() != nil {
			return
		}
		now := f.clock.Now()
		next, again := f.next(m, now)
		_, tooSoon := errors.AsType[*TooSoonError](r.Err)
		until, _ := f.accounts.of(m).signInAfter()
		switch {
		case r.Paused || tooSoon:
			if !again {
				next, again = until, true
			}
		case r.Err == nil:
			recovered()
		default:
			wait, changed := failures.add(r.Err)
			if errors.Is(r.Err, spool.ErrFull) {
				wait = min(wait, fullWait) // the server is not to be spared
			}
			if at := now.Add(wait); !again || at.After(next) || m.Idle && RadiusOf(r.Err) != AccountRadius {
				next, again = at, true
			}
			switch {
			case r.Lost && failures.n == 1:
				f.log.Info("session ended, it is opened again", "mailbox", m.Name, "error", r.Err, "wait", wait.Round(time.Second))
				f.happened(m, Lost, r.Err, next)
			case changed:
				f.log.Error("mailbox failed, it is tried again", "mailbox", m.Name, "error", r.Err, "wait", wait.Round(time.Second))
				f.happened(m, Failed, r.Err, next)
			}
		}
		// A full store keeps mail from being taken; the server is well, and what
		// is settled makes room.
		well := r.Err == nil || tooSoon || errors.Is(r.Err, spool.ErrFull)
		if until.After(next) {
			next = until
		}
		f.idle(ctx, m, next, again, well && r.Unsettled == 0)
	}
}

// visit polls once, or, with Idle set, for as long as a session lasts.
func (f *Fetcher) visit(ctx context.Context, m *Mailbox, recovered func()) Report {
	if m.Idle {
		return f.attend(ctx, m, recovered)
	}
	return f.poll(ctx, m)
}

// next is the mailbox's next regular poll, with its jitter; false when its
// schedule never fires again.
func (f *Fetcher) next(m *Mailbox, now time.Time) (time.Time, bool) {
	at := m.Schedule.Next(now)
	if at.IsZero() {
		return at, false
	}
	return at.Add(jitter(m.Name, at.Sub(now))), true
}

// jitter spreads mailboxes that share a schedule: each is late by its own
// constant share of a tenth of the interval, at most maxJitter.
func jitter(name string, interval time.Duration) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(name))
	span := min(interval/10, maxJitter)
	return time.Duration(float64(span) * float64(h.Sum32()) / (1 << 32))
}

// idle waits for the next poll. Meanwhile settlements that come due are carried
// out, unless the mailbox has just failed.
func (f *Fetcher) idle(ctx context.Context, m *Mailbox, next time.Time, again, healthy bool) {
	wait, stop := context.WithCancel(ctx)
	defer stop()
	timer := make(chan struct{})
	if again {
		go func() {
			defer close(timer)
			_ = f.clock.Sleep(wait, next.Sub(f.clock.Now())) // its only error is the end of wait
		}()
		defer func() { stop(); <-timer }()
	}
	for healthy {
		due := make(chan error, 1)
		quit, cancel := context.WithCancel(wait)
		go func() { due <- f.waitTurn(quit, m) }()
		select {
		case <-timer:
			cancel()
			<-due
			return
		case err := <-due:
			cancel()
			if err != nil {
				healthy = false
				continue
			}
			r := f.settle(ctx, m)
			if r.Err != nil {
				f.log.Warn("settling failed, it is tried again", "mailbox", m.Name, "error", r.Err)
			}
			healthy = r.Err == nil && r.Unsettled == 0
		}
	}
	select {
	case <-timer:
	case <-ctx.Done():
	}
}

// waitTurn is waitDue, and waits until the server allows a sign-in.
func (f *Fetcher) waitTurn(ctx context.Context, m *Mailbox) error {
	if err := f.waitDue(ctx, m.Name); err != nil {
		return err
	}
	until, _ := f.accounts.of(m).signInAfter()
	if wait := until.Sub(f.clock.Now()); wait > 0 {
		return f.clock.Sleep(ctx, wait)
	}
	return nil
}

// waitDue returns nil once settlements are due, having left others the time to
// gather.
func (f *Fetcher) waitDue(ctx context.Context, mailbox string) error {
	if err := f.sp.WaitSettlements(ctx, mailbox); err != nil {
		return err
	}
	return f.clock.Sleep(ctx, settleGap)
}

// failures counts a mailbox's failures in a row.
type failures struct {
	n    int
	said string
}

// add notes a failure: how long to wait, and whether it is news.
func (f *failures) add(err error) (time.Duration, bool) {
	waits := sessionWaits
	if RadiusOf(err) == AccountRadius {
		waits = accountWaits
	}
	base := waits[min(f.n, len(waits)-1)]
	f.n++
	changed := f.said != err.Error()
	f.said = err.Error()
	return base + rand.N(base/2+1), changed
}

// end notes a success, and whether failures came before it.
func (f *failures) end() bool {
	was := f.n > 0
	*f = failures{}
	return was
}
