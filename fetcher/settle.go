package fetcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

// await gives deliveries of what was just taken the time to end, so that they
// settle in this session.
func (p *poll) await(ctx context.Context) error {
	if p.stays || len(p.taken) == 0 || p.m.SettleWait <= 0 || p.m.Policy.Taken || p.m.Policy.After.Verb == spool.Keep || p.m.Policy.Delay > 0 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, min(p.m.SettleWait, MaxSettleWait))
	defer cancel()
	if err := p.sp.Await(wait, p.taken); err != nil && ctx.Err() == nil && wait.Err() == nil {
		return err
	}
	return ctx.Err()
}

// settle carries out what is due on the server, in this session. What the server
// declines stays due, and is tried again by the next visit.
func (p *poll) settle(ctx context.Context) error {
	for !p.ended {
		due, err := p.due(ctx)
		if err != nil || len(due) == 0 {
			return err
		}
		p.ended = !lasting(p.s)
		failpoint.Hit("settle.before")
		err = p.s.Settle(ctx, due)
		failpoint.Hit("settle.after")
		if err != nil && RadiusOf(err) != MessageRadius {
			return err
		}
		done, declined := p.confirmed(due, err)
		// The server has confirmed them: record it even when asked to stop.
		if err := p.sp.Settled(context.WithoutCancel(ctx), done); err != nil {
			return err
		}
		if err := p.sp.Declined(context.WithoutCancel(ctx), declined); err != nil {
			return err
		}
		failpoint.Hit("settle.recorded")
		p.report.Settled += len(done)
	}
	return nil
}

// due are the settlements not yet tried in this visit.
func (p *poll) due(ctx context.Context) ([]spool.Settlement, error) {
	due, err := p.sp.Settlements(ctx, p.m.Name)
	due = slices.DeleteFunc(due, func(d spool.Settlement) bool { return p.refused[d.ID] })
	if b, ok := p.s.(Bounded); ok && b.Most() > 0 {
		due = due[:min(len(due), b.Most())]
	}
	return due, err
}

// confirmed are the settlements that err says nothing against; the others were
// declined, and are due again later and later.
func (p *poll) confirmed(due []spool.Settlement, err error) (done []int64, declined []spool.Decline) {
	against := map[string]error{}
	if err != nil {
		for _, e := range flatten(err) {
			if one, ok := errors.AsType[*Error](e); ok {
				against[one.UID] = e
			}
			p.say("message not settled, it is tried again", "", e)
		}
	}
	now := p.clock.Now()
	for _, d := range due {
		why := against[d.UID]
		if why == nil {
			why = against[""]
		}
		if why == nil {
			done = append(done, d.ID)
			continue
		}
		again := now.Add(declinedWaits[min(d.Declined, len(declinedWaits)-1)])
		if d.Declined == len(declinedWaits)-1 {
			p.unwilling = append(p.unwilling, &unwilling{why, again})
		}
		if p.refused == nil {
			p.refused = map[int64]bool{}
		}
		p.refused[d.ID] = true
		p.report.Unsettled++
		declined = append(declined, spool.Decline{ID: d.ID, Again: again})
	}
	return done, declined
}

// declinedWaits are how long a settlement is left alone that the server has declined
// so often before: it may be that it never can, because a folder cannot be. The last
// repeats.
var declinedWaits = []time.Duration{0, 0, 10 * time.Minute, time.Hour, 6 * time.Hour, day}

// unwilling is a settlement that the server has declined so often that it is tried once
// a day from now on.
type unwilling struct {
	err   error
	again time.Time
}

// tellDeclined tells of settlements that the server will not carry out.
func (f *Fetcher) tellDeclined(p *poll) {
	if len(p.unwilling) == 0 {
		return
	}
	first := p.unwilling[0]
	err := fmt.Errorf("%d settlements are declined again and again, and tried once a day from now on; the first of them: %w", len(p.unwilling), first.err)
	p.unwilling = nil
	f.log.Warn("settlements declined", "mailbox", p.m.Name, "error", err, "next", first.again)
	f.happened(p.m, Declined, err, first.again)
}

// lasting reports whether a session goes on after Settle. Those that can watch
// do; a POP3 session ends with the QUIT that settles.
func lasting(s Session) bool {
	_, ok := s.(Watcher)
	return ok
}
