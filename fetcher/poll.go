package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/spool"
)

// chunk is how many mails are taken before settlements that came due meanwhile
// are carried out in the same session.
const chunk = 512

// inFlight bounds the octets that were read from the server and wait for their
// group commit: enough to fill a commit, little enough to stay small.
const inFlight = 8 << 20

// poll is one visit to one mailbox: list, retrieve, take, settle. It is the
// whole of the taking half, in a straight line.
type poll struct {
	m     *Mailbox
	sp    *spool.Spool
	clock clock.Clock
	log   *slog.Logger

	s      Session
	report Report
	taken  []spool.ID
	ended  bool // the session was finished by Settle
}

// run polls once. The session is opened here and closed before it returns.
func (p *poll) run(ctx context.Context) Report {
	p.report.Mailbox = p.m.Name
	p.report.Err = p.visit(ctx)
	if p.report.Err == nil || ctx.Err() == nil {
		p.sp.Listed(context.WithoutCancel(ctx), p.m.Name, p.report.Err)
	}
	return p.report
}

func (p *poll) visit(ctx context.Context) (err error) {
	if p.s, err = p.m.Source.Open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close(err)) }()
	for _, box := range p.m.Boxes {
		if err := p.takeBox(ctx, box); err != nil {
			return err
		}
	}
	if err := p.await(ctx); err != nil {
		return err
	}
	return p.settle(ctx)
}

// close ends the session; after a success a failing goodbye is only worth a
// line in the log, since everything was confirmed before.
func (p *poll) close(failed error) error {
	err := p.s.Close()
	if err != nil && failed == nil {
		p.log.Debug("session closed uncleanly", "mailbox", p.m.Name, "error", err)
	}
	return nil
}

// takeBox lists one box and takes what is new in it.
func (p *poll) takeBox(ctx context.Context, box string) error {
	key := spool.BoxKey{Account: p.m.Account, Box: box}
	cursor, err := p.sp.Cursor(ctx, key)
	if err != nil {
		return err
	}
	listing, err := p.s.List(ctx, box, Cursor(cursor))
	if err != nil {
		return err
	}
	p.report.Listed += len(listing.Refs)
	fresh, err := p.fresh(ctx, key, listing)
	if err != nil {
		return err
	}
	for len(fresh) > 0 {
		n := min(chunk, len(fresh))
		if err := p.take(ctx, key, fresh[:n]); err != nil {
			return err
		}
		if fresh = fresh[n:]; len(fresh) > 0 && lasting(p.s) {
			if err := p.settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh reconciles a listing with the ledger and returns what is to be taken.
// The first listing of a box is its baseline.
func (p *poll) fresh(ctx context.Context, key spool.BoxKey, l Listing) ([]Ref, error) {
	uids := make([]string, len(l.Refs))
	for i, r := range l.Refs {
		uids[i] = r.UID
	}
	unknown, first, err := p.sp.Reconcile(ctx, key, uids, l.Complete, string(l.Cursor))
	if err != nil {
		return nil, err
	}
	want := make(map[string]bool, len(unknown))
	for _, uid := range unknown {
		want[uid] = true
	}
	var take []Ref
	var skip []string
	now := p.clock.Now()
	for _, r := range l.Refs {
		switch {
		case !want[r.UID]:
			continue
		case first && !p.m.Backfill.takes(r.ReceivedAt, now):
			p.report.Baseline++
			skip = append(skip, r.UID)
		case r.Excluded:
			p.report.Excluded++
			skip = append(skip, r.UID)
		default:
			take = append(take, r)
		}
		delete(want, r.UID) // a UID listed twice is taken once
	}
	p.report.Fresh += len(take)
	if first || len(skip) > 0 {
		if err := p.sp.Skip(ctx, key, skip); err != nil {
			return nil, err
		}
	}
	if first {
		p.sayBaseline(key.Box, len(l.Refs), len(take))
	}
	return take, nil
}

func (p *poll) sayBaseline(box string, there, taking int) {
	if left := there - taking; left > 0 {
		p.log.Info(fmt.Sprintf("baseline written: %d mails were there already and are not taken; `backfill: all` in a new store takes them", left),
			"mailbox", p.m.Name, "box", box, "there", there, "taking", taking)
		return
	}
	p.log.Info("baseline written", "mailbox", p.m.Name, "box", box, "there", there, "taking", taking)
}

// take retrieves mails and makes each durable. Commits run beside the
// retrieval, so that one fsync serves many mails; take returns when all of them
// have ended.
func (p *poll) take(ctx context.Context, key spool.BoxKey, refs []Ref) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		room = semaphore.NewWeighted(inFlight)
		wg   sync.WaitGroup
		mu   sync.Mutex
	)
	err := p.s.Retrieve(ctx, refs, func(r Ref, octets io.Reader) error {
		staged, err := p.sp.Stage(ctx, octets)
		if err != nil {
			return fmt.Errorf("reading mail %s of %s: %w", r.UID, key.Box, err)
		}
		weight := min(staged.Size()+1, inFlight)
		if err := room.Acquire(ctx, weight); err != nil {
			staged.Close()
			return context.Cause(ctx)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer room.Release(weight)
			id, err := p.sp.Take(ctx, spool.Taken{
				Mailbox: p.m.Name, Protocol: p.m.Protocol, BoxKey: key, UID: r.UID,
				ReceivedAt: r.ReceivedAt, Flags: r.Flags, Octets: staged, Policy: p.m.Policy,
			})
			if err != nil {
				stop(fmt.Errorf("taking mail %s of %s: %w", r.UID, key.Box, err))
				return
			}
			mu.Lock()
			p.taken = append(p.taken, id)
			mu.Unlock()
			p.log.Debug("message taken", "mailbox", p.m.Name, "box", key.Box, "uid", r.UID, "item", id)
		}()
		return nil
	})
	wg.Wait()
	p.report.Taken = len(p.taken)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return p.sayFailed(key.Box, err)
}

// sayFailed logs what could not be had and passes on what reaches further than
// single mails. A mail left out stays unknown, so the next poll asks again.
func (p *poll) sayFailed(box string, err error) error {
	if err == nil || RadiusOf(err) != MessageRadius {
		return err
	}
	for _, e := range flatten(err) {
		p.report.Failed++
		p.log.Warn("message not taken, the next poll tries again", "mailbox", p.m.Name, "box", box, "error", e)
	}
	return nil
}

// flatten gives the errors joined in err, or err alone.
func flatten(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

// await gives deliveries of what was just taken the time to end, so that they
// settle in this session.
func (p *poll) await(ctx context.Context) error {
	if len(p.taken) == 0 || p.m.SettleWait <= 0 || p.m.Policy.Taken || p.m.Policy.After.Verb == spool.Keep || p.m.Policy.Delay > 0 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, min(p.m.SettleWait, MaxSettleWait))
	defer cancel()
	if err := p.sp.Await(wait, p.taken); err != nil && ctx.Err() == nil && wait.Err() == nil {
		return err
	}
	return ctx.Err()
}

// settle carries out what is due on the server, in this session.
func (p *poll) settle(ctx context.Context) error {
	for !p.ended {
		due, err := p.sp.Settlements(ctx, p.m.Name)
		if err != nil || len(due) == 0 {
			return err
		}
		p.ended = !lasting(p.s)
		if err := p.s.Settle(ctx, due); err != nil {
			return err
		}
		ids := make([]int64, len(due))
		for i, d := range due {
			ids[i] = d.ID
		}
		// The server has confirmed them: record it even when asked to stop.
		if err := p.sp.Settled(context.WithoutCancel(ctx), ids); err != nil {
			return err
		}
		p.report.Settled += len(due)
	}
	return nil
}

// lasting reports whether a session goes on after Settle. Those that can watch
// do; a POP3 session ends with the QUIT that settles.
func lasting(s Session) bool {
	_, ok := s.(Watcher)
	return ok
}
