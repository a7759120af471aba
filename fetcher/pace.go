package fetcher

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pacer is a session on a server that wants some time from one sign-in to the next.
type Pacer interface {
	// Pause is that time as the server announces it (POP3: LOGIN-DELAY, RFC 2449
	// section 6.5); 0 where it announces none.
	Pause() time.Duration
}

// TooSoonError is in the chain of the error of an Open that the server refused since
// the last one was too short a time ago (POP3: [LOGIN-DELAY], RFC 2449 section 8.1.1).
type TooSoonError struct {
	Pause time.Duration // as the server has announced it before; 0: it has not
	Err   error
}

// Error implements error.
func (e *TooSoonError) Error() string { return e.Err.Error() }

// Unwrap gives the wrapped error.
func (e *TooSoonError) Unwrap() error { return e.Err }

const (
	// leastPause is what a server is given that refuses a sign-in as too soon and does
	// not say how much it wants; twice as much after each further refusal.
	leastPause = time.Minute
	// mostPause bounds what a server can have.
	mostPause = day
	// paceSlack is for servers that count in whole seconds.
	paceSlack = time.Second
)

// errPaused is what open returns while the server wants no sign-in. It is no failure.
var errPaused = errors.New("the server wants more time between sign-ins")

// Pace is how a server slows a mailbox down.
type Pace struct {
	Mailbox string
	Pause   time.Duration // from one sign-in to the next
	Until   time.Time     // there is none before
}

// pace learns what the server wants from one sign-in. What is learned from refusals
// holds for a day after the last of them: then as much is tried as is announced.
func (n *accountNote) pace(now time.Time, announced time.Duration, tooSoon bool) (changed bool) {
	was := n.Pause
	announced = min(announced, mostPause)
	switch {
	case tooSoon && announced > n.Pause:
		n.Pause, n.Slowed = announced, now
	case tooSoon:
		n.Pause, n.Slowed = min(max(2*n.Pause, leastPause), mostPause), now
	case announced > n.Pause, n.Slowed.IsZero(), now.Sub(n.Slowed) >= day:
		n.Pause, n.Slowed = announced, time.Time{}
	}
	n.SignedIn = time.Time{}
	if n.Pause > 0 {
		n.SignedIn = now
	}
	return n.Pause != was && n.Pause > 0
}

// signInAfter is when the account may be signed in to; the zero time: at any time.
func (acc *account) signInAfter() (until time.Time, pause time.Duration) {
	acc.mu.Lock()
	defer acc.mu.Unlock()
	if acc.ledger.Pause == 0 || acc.ledger.SignedIn.IsZero() {
		return time.Time{}, 0
	}
	return acc.ledger.SignedIn.Add(acc.ledger.Pause + paceSlack), acc.ledger.Pause
}

// paced notes how a sign-in went with the time since the last one.
func (p *poll) paced(ctx context.Context, acc *account, s Session, soon *TooSoonError) error {
	announced := time.Duration(0)
	if soon != nil {
		announced = soon.Pause
	} else if one, ok := s.(Pacer); ok {
		announced = one.Pause()
	}
	acc.mu.Lock()
	p.slowed = acc.ledger.pace(p.clock.Now().UTC(), announced, soon != nil)
	acc.mu.Unlock()
	return p.save(ctx, acc)
}

// pause reports that the account must not be signed in to yet.
func (p *poll) pause(acc *account) bool {
	until, _ := acc.signInAfter()
	p.report.Paused = p.clock.Now().Before(until)
	return p.report.Paused
}

// tellPace tells of a server that was found to slow the mailbox down.
func (f *Fetcher) tellPace(p *poll) {
	until, pause := f.accounts.of(p.m).signInAfter()
	if !p.slowed || !f.slows(p.m, pause) {
		return
	}
	p.slowed = false
	err := fmt.Errorf("%w than the schedule leaves (%s): it is polled no more often", errPaused, pause)
	f.log.Info("mailbox slowed down", "mailbox", p.m.Name, "error", err, "wait", pause)
	f.happened(p.m, Slowed, err, until)
}

// slows reports whether a pause is longer than the schedule leaves.
func (f *Fetcher) slows(m *Mailbox, pause time.Duration) bool {
	if pause == 0 || m.Schedule == nil {
		return false
	}
	now := f.clock.Now()
	next := m.Schedule.Next(now)
	return !next.IsZero() && next.Sub(now) < pause
}

// Paces are the mailboxes whose servers want more time between sign-ins than their
// schedules leave, in the order given to New.
func (f *Fetcher) Paces() []Pace {
	f.tended.mu.Lock()
	defer f.tended.mu.Unlock()
	var all []Pace
	for _, m := range f.mailboxes {
		if until, pause := f.accounts.of(m).signInAfter(); f.slows(m, pause) {
			all = append(all, Pace{Mailbox: m.Name, Pause: pause, Until: until})
		}
	}
	return all
}
