package sinks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

// lane delivers to one sink. Lanes share nothing but the spool, so a slow or
// dead destination delays no other.
type lane struct {
	*Dispatcher
	Destination
	name string

	slots  *semaphore.Weighted // deliveries at once
	octets *semaphore.Weighted // in delivery; first come, first served, so that a large mail gets its turn

	// holding is locked while a hold is being written, so that nothing is claimed
	// that the hold is to keep.
	holding sync.RWMutex

	mu      sync.Mutex
	next    time.Time      // when the next delivery may begin
	holds   int            // how often this process held the sink
	resumed time.Time      // when it last lifted a hold
	probes  int            // failed since the sink last worked
	faults  map[string]int // by delivery: answers marked MailFault
}

func newLane(d *Dispatcher, name string, dest Destination) *lane {
	if dest.Concurrency <= 0 {
		dest.Concurrency = DefaultConcurrency
	}
	if dest.Timeout <= 0 {
		dest.Timeout = defaultTimeout
	}
	if dest.InFlight <= 0 {
		dest.InFlight = defaultInFlight
	}
	if len(dest.Retry.Steps) == 0 {
		dest.Retry = backoff.Default()
	}
	return &lane{Dispatcher: d, Destination: dest, name: name, slots: semaphore.NewWeighted(int64(dest.Concurrency)), octets: semaphore.NewWeighted(dest.InFlight), faults: map[string]int{}}
}

// random draws nothing where the schedule is to be kept to the letter.
func (l *lane) random() float64 {
	if l.Exact {
		return 0
	}
	return l.Random()
}

// deliverAll is the loop of one worker.
func (l *lane) deliverAll(ctx, work context.Context) error {
	for ctx.Err() == nil {
		l.holding.RLock()
		holds := l.held()
		l.holding.RUnlock()
		c, err := l.spool.Due(ctx, l.name)
		if err == nil {
			failpoint.Hit("deliver.claimed")
			err = l.admit(ctx, work, c, holds)
		}
		if err != nil {
			if err := l.pause(ctx, "delivering to "+l.name, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// admit waits for the sink's rate, octets and slots, then delivers. holds is how many
// holds there had been before the mail was claimed: if the sink was held since
// then, the mail goes back to those that wait.
func (l *lane) admit(ctx, work context.Context, c *spool.Claim, holds int) error {
	size := min(c.Item.Octets.Size(), l.InFlight)
	if l.Clock.Sleep(ctx, l.slot()) != nil || l.octets.Acquire(ctx, size) != nil {
		l.spool.Release(c)
		return nil
	}
	defer l.octets.Release(size)
	if l.slots.Acquire(ctx, 1) != nil {
		l.spool.Release(c)
		return nil
	}
	free := sync.OnceFunc(func() { l.slots.Release(1) })
	defer free()
	if !c.Probe && l.held() != holds {
		l.spool.Release(c)
		return nil
	}
	return l.deliver(work, c, holds, free)
}

// held counts the holds so far.
func (l *lane) held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holds
}

// slot is how long to wait for the next beginning of a delivery.
func (l *lane) slot() time.Duration {
	if l.Interval <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Clock.Now()
	if l.next.Before(now) {
		l.next = now
	}
	wait := l.next.Sub(now)
	l.next = l.next.Add(l.Interval)
	return wait
}

// deliver makes one attempt and records what it came to. The slot is free for the
// next mail once the attempt is over, and the sink held if that is what follows.
func (l *lane) deliver(work context.Context, c *spool.Claim, holds int, free func()) error {
	start := l.Clock.Now()
	receipt, reached, err := l.attempt(work, c)
	if err != nil && work.Err() != nil {
		l.spool.Release(c) // cut short by shutdown: it says nothing of mail or sink
		return nil
	}
	a := spool.Attempt{At: start, Duration: l.Clock.Now().Sub(start), Detail: clip(receipt.Detail), Answer: clip(receipt.Answer)}
	o := spool.Outcome{Delivery: c.Delivery, State: spool.Delivered, Attempt: a, Actions: receipt.Actions, Errands: receipt.Errands}
	if err != nil {
		o = l.judge(c, a, err)
	}
	// A hold comes before the record, so that no other worker claims in between.
	if reached {
		if err := l.hold(work, c, holds, err); err != nil {
			l.spool.Release(c)
			return err
		}
	}
	free()
	if recorded, err := l.record(work, c, o); !recorded {
		return err
	}
	l.settle(c, o)
	if reached && c.Probe && (err == nil || IsMailFault(err) || IsPermanent(err)) {
		return l.resume(work)
	}
	return nil
}

// settle forgets what is over, and tells of it.
func (l *lane) settle(c *spool.Claim, o spool.Outcome) {
	if o.State != spool.Deferred {
		l.mu.Lock()
		delete(l.faults, c.Delivery)
		l.mu.Unlock()
	}
	log := l.Logger.With("mailbox", c.Item.Mailbox, "item", c.Item.ID, "sink", l.name, "delivery", c.Delivery, "attempt", c.Attempts+1)
	switch o.State {
	case spool.Delivered:
		log.Info("message delivered", "detail", o.Attempt.Detail)
	case spool.Dead:
		log.Error("delivery dead", "error", o.Attempt.Error)
	default:
		log.Warn("delivery deferred", "next", o.Next, "error", o.Attempt.Error)
	}
	l.observe(Event{Item: c.Item.ID, Mailbox: c.Item.Mailbox, Sink: l.name, Delivery: c.Delivery, Number: c.Attempts + 1, Outcome: o})
}

// attempt hands the mail to the sink. reached is false where it failed before
// the sink had a say. A sink that panics has failed for good.
func (l *lane) attempt(work context.Context, c *spool.Claim) (r Receipt, reached bool, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			r, reached, err = Receipt{}, false, Permanent(fmt.Errorf("a defect in the sink: %v", fault))
		}
	}()
	f, err := factsOf(c.Item)
	if err != nil {
		return Receipt{}, false, err
	}
	if why := f.Failed[l.name]; why != "" && c.Attempts == 0 {
		return Receipt{}, false, Permanent(errors.New(why)) // an operator's retry delivers it
	}
	part, give := c.Part, l.Sink.Deliver
	if c.Errand != nil {
		if part, give, err = l.errand(c.Errand); err != nil {
			return Receipt{}, false, err
		}
	}
	d, err := l.delivery(c.Item, c.Delivery, part, c.Attempts+1, f)
	if err != nil {
		return Receipt{}, false, err
	}
	d.Remember = func(ctx context.Context, notes ...spool.Note) (*spool.Refusal, error) {
		return l.spool.Remember(ctx, l.name, c.Delivery, notes...)
	}
	d.Progress = c.Progress
	limited, cancel := context.WithTimeout(work, l.Timeout)
	defer cancel()
	failpoint.Hit("deliver.before")
	if l.Prepare != nil {
		if err := l.Prepare(limited, d); err != nil {
			return Receipt{}, true, err
		}
	}
	r, err = give(limited, d)
	failpoint.Hit("deliver.after")
	return r, true, err
}

// errand is how the sink is given a mail with an errand: the whole of it.
func (l *lane) errand(e *spool.Errand) (part string, give func(context.Context, *Delivery) (Receipt, error), err error) {
	able, ok := l.Sink.(Errander)
	if !ok {
		return "", nil, Permanent(fmt.Errorf("the sink can do no %s: give it back its type: smtp, then retry", e.Verb))
	}
	return "", func(ctx context.Context, d *Delivery) (Receipt, error) { return able.Errand(ctx, d, e) }, nil
}

// record makes the outcome durable; false, nil says that there is no such
// delivery any more.
func (l *lane) record(work context.Context, c *spool.Claim, o spool.Outcome) (recorded bool, err error) {
	failpoint.Hit("record.before")
	err = l.persist(work, "recording delivery "+c.Delivery, func() error { return l.spool.Record(work, c.Item.ID, o) })
	if err == nil {
		failpoint.Hit("record.after")
		return true, nil
	}
	l.spool.Release(c)
	if errors.Is(err, spool.ErrUnknown) {
		l.Logger.Warn("delivery was erased meanwhile", "item", c.Item.ID, "sink", l.name, "delivery", c.Delivery)
		return false, nil
	}
	return false, fmt.Errorf("record delivery %s: %w", c.Delivery, err)
}

// persist writes to the store, again and again while it fails: a mail whose fate
// is known must not be delivered once more for want of a note of it. The error is
// that there is nothing to write to: the work has ended, the store has, or the
// delivery is not there.
func (l *lane) persist(work context.Context, doing string, write func() error) error {
	for pause := storePause; ; pause = min(2*pause, longestStorePause) {
		err := write()
		if err == nil || isFinal(err) || errors.Is(err, spool.ErrUnknown) || work.Err() != nil {
			return err
		}
		l.Logger.Error("store failed", "doing", doing, "error", err)
		_ = l.Clock.Sleep(work, pause) // its error is work's, looked at after the next try
	}
}
