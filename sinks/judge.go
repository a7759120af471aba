package sinks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postferry/postferry/spool"
)

// longestRetryAfter bounds what a destination may ask for.
const longestRetryAfter = 24 * time.Hour

// judge makes the outcome of a failed attempt.
func (l *lane) judge(c *spool.Claim, a spool.Attempt, err error) spool.Outcome {
	var answered *AttemptError
	if errors.As(err, &answered) {
		a.Detail, a.Answer = clip(answered.Detail), clip(answered.Answer)
	}
	a.Error = clip(err.Error())
	o := spool.Outcome{Delivery: c.Delivery, State: spool.Deferred, Attempt: a}
	now := l.Clock.Now()
	switch {
	case IsPermanent(err):
		o.State = spool.Dead
		return o
	case IsSinkFault(err):
		// The mail is undamaged: it goes as soon as the sink is no longer held.
		o.Next = now
		return o
	case IsMailFault(err) && l.faulted(c.Delivery) >= MailTries:
		o.State = spool.Dead
		return o
	}
	first := c.First
	if first.IsZero() {
		first = a.At
	}
	wait, more := l.Retry.Next(c.Attempts+1, now.Sub(first), l.random)
	if !more {
		o.State = spool.Dead
		o.Attempt.Error = fmt.Sprintf("given up after %d attempts; the last: %s", c.Attempts+1, a.Error)
		return o
	}
	o.Next = now.Add(max(wait, asked(err)))
	return o
}

// asked is the wait the destination wants, bounded.
func asked(err error) time.Duration {
	d, _ := RetryAfterOf(err)
	return min(max(d, 0), longestRetryAfter)
}

// faulted counts an answer that finds fault with the mail. The count is of this
// process: after a restart a mail may be tried a little more often.
func (l *lane) faulted(delivery string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults[delivery]++
	return l.faults[delivery]
}

// hold keeps the sink from further mail after a fault of its own, and longer
// after a probe that failed. Deliveries that were under way when the sink was
// held say nothing new.
func (l *lane) hold(work context.Context, c *spool.Claim, start time.Time, err error) error {
	if err == nil || IsPermanent(err) || IsMailFault(err) || !IsSinkFault(err) && !c.Probe {
		return nil
	}
	l.mu.Lock()
	now := l.Clock.Now()
	if !c.Probe && !l.heldAt.IsZero() && !start.After(l.heldAt) {
		l.mu.Unlock()
		return nil
	}
	l.heldAt = now
	if c.Probe {
		l.probes++
	} else {
		l.probes = 1
	}
	wait := max(l.Retry.Wait(l.probes, l.random), asked(err), time.Second)
	l.mu.Unlock()
	l.Logger.Error("sink held", "sink", l.name, "error", clip(err.Error()), "probe", now.Add(wait))
	return l.spool.Hold(work, l.name, now.Add(wait), clip(err.Error()))
}

func (l *lane) resume(work context.Context) error {
	l.mu.Lock()
	l.probes = 0
	l.mu.Unlock()
	l.Logger.Info("sink resumed", "sink", l.name)
	return l.spool.Resume(work, l.name)
}
