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
	o := spool.Outcome{Delivery: c.Delivery, State: spool.Deferred, Attempt: a, Progress: c.Progress}
	if answered != nil && answered.Progress != "" {
		o.Progress = answered.Progress
	}
	now := l.Clock.Now()
	switch {
	case IsPermanent(err):
		o.State = spool.Dead
		return o
	case IsSinkFault(err):
		// The mail is undamaged, and stays the first in its queue: it is the probe.
		o.Next = c.Item.TakenAt
		return o
	case IsMailFault(err) && l.faulted(c.Delivery) >= MailTries:
		o.State = spool.Dead
		return o
	case c.Probe && !IsMailFault(err):
		// A sink that is held ends no mail. This one gives way to another, so that
		// none keeps the sink held by a fault of its own.
		o.Next = now.Add(max(l.Retry.Wait(c.Attempts+1, l.random), asked(err)))
		return o
	}
	wait, more := l.Retry.Next(c.Attempts+1, now.Sub(l.began(c, a)), l.random)
	if !more {
		o.State = spool.Dead
		o.Attempt.Error = fmt.Sprintf("given up after %d attempts; the last: %s", c.Attempts+1, a.Error)
		return o
	}
	o.Next = now.Add(max(wait, asked(err)))
	return o
}

// began is when the schedule of the delivery began: with its first attempt, or
// when the sink last resumed, since a mail has no part in the sink's faults.
func (l *lane) began(c *spool.Claim, a spool.Attempt) time.Time {
	if c.First.IsZero() {
		return a.At
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resumed.After(c.First) {
		return l.resumed
	}
	return c.First
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
// after a probe that failed. Deliveries that were claimed before the sink was held
// say nothing new.
func (l *lane) hold(work context.Context, c *spool.Claim, holds int, err error) error {
	if err == nil || IsPermanent(err) || IsMailFault(err) || !IsSinkFault(err) && !c.Probe {
		return nil
	}
	l.holding.Lock()
	defer l.holding.Unlock()
	l.mu.Lock()
	if !c.Probe && l.holds != holds {
		l.mu.Unlock()
		return nil
	}
	l.holds++
	if c.Probe {
		l.probes++
	} else {
		l.probes = 1
	}
	probe := l.Clock.Now().Add(max(l.Retry.Wait(l.probes, l.random), asked(err), time.Second))
	l.mu.Unlock()
	l.Logger.Error("sink held", "sink", l.name, "error", clip(err.Error()), "probe", probe)
	return l.persist(work, "holding sink "+l.name, func() error { return l.spool.Hold(work, l.name, probe, clip(err.Error())) })
}

func (l *lane) resume(work context.Context) error {
	l.mu.Lock()
	l.probes, l.resumed = 0, l.Clock.Now()
	l.mu.Unlock()
	l.Logger.Info("sink resumed", "sink", l.name)
	return l.persist(work, "resuming sink "+l.name, func() error { return l.spool.Resume(work, l.name) })
}
