// Package fetcher is the taking half: it lists what mailboxes hold, retrieves
// what is new, makes it durable in the spool, and carries out on the server
// what the spool says is due (settlements). It knows nothing of parsing or
// sinks; the spool joins the two halves.
//
// Start reading at poll.go, one visit to a mailbox in a straight line. A kind of
// mailbox (pop3, imap) lives in a folder of its own and implements Source and
// Session of contract.go; sourcetest is the suite each of them passes.
package fetcher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/spool"
)

// visits bounds how many mailboxes are visited at once. Mailboxes that wait
// (for their schedule, or in IDLE) do not count.
const visits = 64

// Options of a Fetcher. The zero Options use the machine's clock and log nowhere.
type Options struct {
	Clock  clock.Clock
	Logger *slog.Logger
	// Observe, if not nil, is told how mailboxes fare. It is called by their
	// goroutines and must not block.
	Observe func(Event)
}

// Fetcher visits mailboxes on their schedules. Each mailbox has one goroutine
// of its own, so two polls of one mailbox never overlap.
type Fetcher struct {
	sp        *spool.Spool
	mailboxes []*Mailbox
	clock     clock.Clock
	log       *slog.Logger
	observe   func(Event)
	visits    *semaphore.Weighted
	tended    tended
	notes     notes
	accounts  accounts
}

// New makes a Fetcher for the mailboxes, whose names differ.
func New(sp *spool.Spool, mailboxes []*Mailbox, o Options) *Fetcher {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Fetcher{sp: sp, mailboxes: mailboxes, clock: o.Clock, log: o.Logger, observe: o.Observe, visits: semaphore.NewWeighted(visits)}
}

// Once polls every mailbox once, several at a time, and returns their reports
// in the order given to New.
func (f *Fetcher) Once(ctx context.Context) []Report {
	return f.visitAll(ctx, func(m *Mailbox) Report { return f.poll(ctx, m) })
}

// Settle carries out what is due on each mailbox's server, in sessions that do
// nothing else. Mailboxes that owe nothing are not visited.
func (f *Fetcher) Settle(ctx context.Context) []Report {
	return f.visitAll(ctx, func(m *Mailbox) Report { return f.settle(ctx, m) })
}

func (f *Fetcher) visitAll(ctx context.Context, visit func(*Mailbox) Report) []Report {
	reports := make([]Report, len(f.mailboxes))
	index := make(map[*Mailbox]int, len(f.mailboxes))
	for i, m := range f.mailboxes {
		index[m] = i
	}
	f.each(func(m *Mailbox) { reports[index[m]] = visit(m) })
	return reports
}

func (f *Fetcher) each(do func(*Mailbox)) {
	var wg sync.WaitGroup
	for _, m := range f.mailboxes {
		wg.Go(func() { do(m) })
	}
	wg.Wait()
}

// poll is one whole visit: take what is new, settle what is due. Where the server
// allows only so many mails in one session it takes several, until it has had as many
// mails as were fresh at first.
func (f *Fetcher) poll(ctx context.Context, m *Mailbox) Report {
	all := f.run(ctx, f.newPoll(m))
	fresh := all.Fresh
	for r := all; r.Err == nil && r.More && r.Taken > 0 && all.Taken < fresh; {
		r = f.run(ctx, f.newPoll(m))
		all.Listed, all.Fresh, all.Failed, all.Unsettled = r.Listed, r.Fresh, r.Failed, r.Unsettled
		all.Taken += r.Taken
		all.Excluded += r.Excluded
		all.Settled += r.Settled
		all.More, all.Err = r.More, r.Err
	}
	return all
}

func (f *Fetcher) newPoll(m *Mailbox) *poll {
	return &poll{m: m, sp: f.sp, clock: f.clock, log: f.log, notes: &f.notes, accounts: &f.accounts}
}

// run is a visit within the bounds that hold for all.
func (f *Fetcher) run(ctx context.Context, p *poll) Report {
	if p.s == nil {
		if err := p.queue(ctx); err != nil {
			return Report{Mailbox: p.m.Name, Err: err}
		}
		defer func() {
			if p.s == nil {
				p.giveBack()
			}
		}()
	}
	if err := f.visits.Acquire(ctx, 1); err != nil {
		return Report{Mailbox: p.m.Name, Err: err}
	}
	defer f.visits.Release(1)
	started := f.clock.Now()
	r := p.run(ctx)
	f.tellPace(p)
	f.tellDeclined(p)
	if r.Paused {
		until, _ := f.accounts.of(p.m).signInAfter()
		f.log.Info("mailbox not polled: its server wants more time between sign-ins", "mailbox", p.m.Name, "until", until.Format(time.DateTime))
		return r
	}
	if r.Taken+r.Settled+r.Failed+r.Unsettled > 0 {
		f.log.Info("mailbox polled", "mailbox", p.m.Name, "listed", r.Listed, "taken", r.Taken, "settled", r.Settled,
			"failed", r.Failed+r.Unsettled, "took", f.clock.Now().Sub(started).Round(time.Millisecond))
	} else if r.Err == nil {
		f.log.Debug("mailbox polled, nothing new", "mailbox", p.m.Name, "listed", r.Listed, "took", f.clock.Now().Sub(started))
	}
	return r
}

// settle visits until nothing is due any more but what the server declines. It
// takes nothing.
func (f *Fetcher) settle(ctx context.Context, m *Mailbox) Report {
	r := Report{Mailbox: m.Name}
	for {
		due, err := f.sp.Settlements(ctx, m.Name)
		if err != nil || len(due) == 0 {
			r.Err = err
			return r
		}
		p := f.newPoll(m)
		r.Err = f.settleOnce(ctx, p)
		f.tellPace(p)
		f.tellDeclined(p)
		if errors.Is(r.Err, errPaused) {
			r.Err, r.Paused = nil, true
			return r
		}
		r.Settled += p.report.Settled
		r.Unsettled = p.report.Unsettled
		if r.Err != nil || p.report.Settled == 0 {
			return r
		}
	}
}

func (f *Fetcher) settleOnce(ctx context.Context, p *poll) error {
	if p.s == nil {
		if err := p.queue(ctx); err != nil {
			return err
		}
		defer p.giveBack()
	}
	if err := f.visits.Acquire(ctx, 1); err != nil {
		return err
	}
	defer f.visits.Release(1)
	if p.s == nil {
		if err := p.open(ctx); err != nil {
			return err
		}
		defer p.close()
	}
	return p.settle(ctx)
}
