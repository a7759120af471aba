package sinks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/spool"
)

// lane delivers to one sink. Lanes share nothing but the spool, so a slow or
// dead destination delays no other.
type lane struct {
	*Dispatcher
	Destination
	name string

	mu     sync.Mutex
	used   int64          // octets in delivery
	freed  chan struct{}  // closed and replaced when octets are given back
	next   time.Time      // when the next delivery may begin
	heldAt time.Time      // when this process last held the sink
	probes int            // failed since the sink last worked
	faults map[string]int // by delivery: answers marked MailFault
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
	return &lane{Dispatcher: d, Destination: dest, name: name, freed: make(chan struct{}), faults: map[string]int{}}
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
		c, err := l.spool.Due(ctx, l.name)
		if err == nil {
			err = l.admit(ctx, work, c)
		}
		if err != nil {
			if err := l.pause(ctx, "delivering to "+l.name, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// admit waits for the sink's rate and octets, then delivers.
func (l *lane) admit(ctx, work context.Context, c *spool.Claim) error {
	size := c.Item.Octets.Size()
	if l.Clock.Sleep(ctx, l.slot()) != nil || l.acquire(ctx, size) != nil {
		l.spool.Release(c)
		return nil
	}
	defer l.free(size)
	return l.deliver(ctx, work, c)
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

func (l *lane) acquire(ctx context.Context, n int64) error {
	for {
		l.mu.Lock()
		if l.used == 0 || l.used+n <= l.InFlight {
			l.used += n
			l.mu.Unlock()
			return nil
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *lane) free(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used -= n
	close(l.freed)
	l.freed = make(chan struct{})
}

// deliver makes one attempt and records what it came to.
func (l *lane) deliver(ctx, work context.Context, c *spool.Claim) error {
	start := l.Clock.Now()
	receipt, err := l.attempt(work, c)
	if err != nil && work.Err() != nil {
		l.spool.Release(c) // cut short by shutdown: it says nothing of mail or sink
		return nil
	}
	a := spool.Attempt{At: start, Duration: l.Clock.Now().Sub(start), Detail: clip(receipt.Detail), Answer: clip(receipt.Answer)}
	o := spool.Outcome{Delivery: c.Delivery, State: spool.Delivered, Attempt: a, Actions: receipt.Actions}
	if err != nil {
		o = l.judge(c, a, err)
	}
	// A hold comes before the record, so that no other worker claims in between.
	if err := l.hold(work, c, start, err); err != nil {
		l.spool.Release(c)
		return err
	}
	if err := l.record(ctx, work, c, o); err != nil {
		return err
	}
	l.settle(c, o)
	if c.Probe && (err == nil || IsMailFault(err) || IsPermanent(err)) {
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

// attempt hands the mail to the sink. A sink that panics has failed for good.
func (l *lane) attempt(work context.Context, c *spool.Claim) (r Receipt, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			r, err = Receipt{}, Permanent(fmt.Errorf("a defect in the sink: %v", fault))
		}
	}()
	var f facts
	if err := json.Unmarshal(c.Item.Facts, &f); err != nil {
		return Receipt{}, Permanent(fmt.Errorf("reading the facts of the routing: %w", err))
	}
	if why := f.Failed[l.name]; why != "" && c.Attempts == 0 {
		return Receipt{}, Permanent(errors.New(why)) // an operator's retry delivers it
	}
	m, err := l.message(c.Item)
	if err != nil {
		return Receipt{}, fmt.Errorf("reading the mail from the store: %w", err)
	}
	limited, cancel := context.WithTimeout(work, l.Timeout)
	defer cancel()
	return l.Sink.Deliver(limited, &Delivery{
		ID: c.Delivery, Attempt: c.Attempts + 1, Timestamp: f.Timestamp, Origin: OriginOf(c.Item),
		Part: c.Part, Message: m, Octets: c.Item.Octets,
	})
}

// record makes the outcome durable, trying again while the store may recover.
// Failing that the claim is given back: the delivery comes again, with its id.
func (l *lane) record(ctx, work context.Context, c *spool.Claim, o spool.Outcome) error {
	for try := 1; ; try++ {
		err := l.spool.Record(work, c.Item.ID, o)
		if err == nil {
			return nil
		}
		if try == recordTries || isFinal(err) || ctx.Err() != nil || errors.Is(err, spool.ErrUnknown) {
			l.spool.Release(c)
			return fmt.Errorf("record delivery %s: %w", c.Delivery, err)
		}
		if err := l.pause(ctx, "recording for "+l.name, err); err != nil {
			return err
		}
	}
}
