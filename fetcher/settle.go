package fetcher

import (
	"context"
	"errors"
	"slices"

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
// declined.
func (p *poll) confirmed(due []spool.Settlement, err error) (done, declined []int64) {
	against := map[string]bool{}
	if err != nil {
		for _, e := range flatten(err) {
			if one, ok := errors.AsType[*Error](e); ok {
				against[one.UID] = true
			}
			p.say("message not settled, the next poll tries again", "", e)
		}
	}
	for _, d := range due {
		if !against[d.UID] && !against[""] {
			done = append(done, d.ID)
			continue
		}
		if p.refused == nil {
			p.refused = map[int64]bool{}
		}
		p.refused[d.ID] = true
		p.report.Unsettled++
		declined = append(declined, d.ID)
	}
	return done, declined
}

// lasting reports whether a session goes on after Settle. Those that can watch
// do; a POP3 session ends with the QUIT that settles.
func lasting(s Session) bool {
	_, ok := s.(Watcher)
	return ok
}
