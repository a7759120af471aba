package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

// chunk is how many mails are taken before settlements that came due meanwhile
// are carried out in the same session.
const chunk = 512

// inFlight bounds the octets that were read from the server and wait for their
// group commit: enough to fill a commit, little enough to stay small.
const inFlight = 4 << 20

// described is how many mails are described at a time.
const described = 8 * chunk

// poll is one visit to one mailbox: list, retrieve, take, settle. It is the
// whole of the taking half, in a straight line.
type poll struct {
	m     *Mailbox
	sp    *spool.Spool
	clock clock.Clock
	log   *slog.Logger
	notes *notes

	accounts *accounts
	leave    func() // gives the account's session back
	opened   func() // ends what is held while it is opened

	s       Session
	boxes   []string // what the mailbox's names of boxes stand for in this session
	stays   bool     // the session is used further after this visit
	report  Report
	taken   []spool.ID
	same    []string       // what the mails taken since the last remember are called in all boxes
	ended   bool           // the session was finished by Settle
	slowed  bool           // the server was found to want another pause between sign-ins
	refused map[int64]bool // settlements the server declined in this visit

	unwilling []*unwilling // of them, those it has declined too often
}

// run polls once. The session is opened here and closed before it returns, unless
// it stays.
func (p *poll) run(ctx context.Context) Report {
	p.report.Mailbox = p.m.Name
	p.report.Err = p.visit(ctx)
	if errors.Is(p.report.Err, errPaused) {
		p.report.Err = nil
		return p.report
	}
	if p.report.Err == nil || ctx.Err() == nil {
		p.sp.Listed(context.WithoutCancel(ctx), p.m.Name, p.report.Err)
	}
	return p.report
}

func (p *poll) visit(ctx context.Context) (err error) {
	if p.s == nil {
		if err = p.open(ctx); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil || !p.stays {
			p.close()
		}
	}()
	if err := p.takeBoxes(ctx); err != nil {
		return err
	}
	if err := p.await(ctx); err != nil {
		return err
	}
	return p.settle(ctx)
}

// close ends the session. What matters was confirmed before, so a failing goodbye
// is only worth a line in the log.
func (p *poll) close() {
	if err := p.s.Close(); err != nil {
		p.log.Debug("session closed uncleanly", "mailbox", p.m.Name, "error", err)
	}
	p.giveBack()
}

// takeBoxes takes what is new in every box. One that fails does not keep the
// others from being looked at, as long as the session lasts.
func (p *poll) takeBoxes(ctx context.Context) error {
	var failed []error
	if err := p.findBoxes(ctx); err != nil {
		if p.boxes == nil || RadiusOf(err) == AccountRadius || errors.Is(err, ErrFinished) || ctx.Err() != nil {
			return err
		}
		failed = append(failed, err)
	}
	for _, box := range p.boxes {
		err := p.takeBox(ctx, box)
		if errors.Is(err, ErrFinished) && len(failed) > 0 {
			break
		}
		if err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
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
	if listing.Unchanged {
		return nil
	}
	p.report.Listed += len(listing.Refs)
	if err := p.bind(ctx, key); err != nil {
		return err
	}
	fresh, err := p.fresh(ctx, key, listing)
	if err != nil {
		return err
	}
	failed, whole := p.report.Failed, len(fresh)
	fresh = p.limited(fresh)
	left := len(fresh) < whole
	for n := 0; n < len(fresh); n += chunk {
		if n%described == 0 && len(fresh)-n > chunk {
			if err := p.describe(ctx, fresh[n:min(n+described, len(fresh))]); err != nil {
				return err
			}
		}
		if n > 0 && lasting(p.s) {
			if err := p.settle(ctx); err != nil {
				return err
			}
		}
		if p.spent(box) {
			left = true
			break
		}
		// A store that would refuse the mails is asked before they are retrieved.
		if err := p.sp.Admit(p.m.Name); err != nil {
			return err
		}
		if err := p.takeOnce(ctx, key, fresh[n:min(n+chunk, len(fresh))]); err != nil {
			return err
		}
	}
	more, err := p.learn(ctx, key)
	if err != nil {
		return err
	}
	if c, ok := p.s.(Concluder); ok && !left && !more && p.report.Failed == failed {
		c.Conclude(box)
	}
	return nil
}

// bind tells the spool whose box it is, once in the life of the process.
func (p *poll) bind(ctx context.Context, key spool.BoxKey) error {
	if p.notes.bound(p.m.Name, key) {
		return nil
	}
	if err := p.sp.Bind(ctx, p.m.Name, key); err != nil {
		return err
	}
	p.notes.bind(p.m.Name, key)
	return nil
}

// limited leaves out what is known to be too large, and what exceeds the
// mailbox's limit.
func (p *poll) limited(refs []Ref) []Ref {
	refs = slices.DeleteFunc(refs, func(r Ref) bool {
		large := p.notes.large(p.m, r)
		if large {
			p.report.Failed++
		}
		return large
	})
	if p.m.Limit > 0 {
		refs = refs[:min(len(refs), max(0, p.m.Limit-len(p.taken)))]
	}
	if b, ok := p.s.(Bounded); ok && b.Most() > 0 && len(refs) > b.Most() {
		refs = refs[:b.Most()]
		p.report.More = true
	}
	return refs
}

// describe asks for sizes and times ahead of retrieval, where listings leave them
// out.
func (p *poll) describe(ctx context.Context, refs []Ref) error {
	if d, ok := p.s.(Describer); ok {
		return d.Describe(ctx, refs)
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
	if !first {
		if unknown, err = p.recognise(ctx, key, unknown); err != nil {
			return nil, err
		}
	}
	want := make(map[string]bool, len(unknown))
	for _, uid := range unknown {
		want[uid] = true
	}
	if first && !p.m.Backfill.All && p.m.Backfill.Age > 0 {
		if err := p.describe(ctx, l.Refs); err != nil {
			return nil, err
		}
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
// retrieval, so that one fsync serves many mails, which are numbered in the order
// they came; take returns when all of them have ended.
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
		if errors.Is(err, spool.ErrLarge) {
			return p.setAside(r, octets, err)
		}
		if err != nil {
			return fmt.Errorf("reading mail %s of %s: %w", r.UID, key.Box, err)
		}
		p.retrieved(staged.Size())
		weight := min(staged.Size()+1, inFlight)
		if err := room.Acquire(ctx, weight); err != nil {
			staged.Close()
			return context.Cause(ctx)
		}
		failpoint.Hit("take.before")
		durable := p.sp.Begin(ctx, spool.Taken{
			Mailbox: p.m.Name, Protocol: p.m.Protocol, BoxKey: key, UID: r.UID,
			ReceivedAt: r.ReceivedAt, Flags: r.Flags, Octets: staged, Policy: p.m.Policy,
		})
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer room.Release(weight)
			id, err := durable()
			if err != nil {
				stop(fmt.Errorf("taking mail %s of %s: %w", r.UID, key.Box, err))
				return
			}
			failpoint.Hit("take.after")
			mu.Lock()
			p.taken = append(p.taken, id)
			if r.Same != "" {
				p.same = append(p.same, r.Same)
			}
			mu.Unlock()
			p.log.Debug("message taken", "mailbox", p.m.Name, "box", key.Box, "uid", r.UID, "item", id)
		}()
		return nil
	})
	wg.Wait()
	p.report.Taken = len(p.taken)
	if p.m.Budget.Octets > 0 {
		if err := p.save(ctx, p.accounts.of(p.m)); err != nil {
			return err
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return p.sayFailed(key.Box, err)
}

// setAside passes over a mail larger than the spool takes, now and in later
// visits.
func (p *poll) setAside(r Ref, octets io.Reader, err error) error {
	if _, err := io.Copy(io.Discard, octets); err != nil {
		return err
	}
	p.notes.setAside(p.m, r)
	p.report.Failed++
	p.log.Warn("message not taken, it stays on the server", "mailbox", p.m.Name, "box", r.Box, "uid", r.UID, "error", err)
	return nil
}

// sayFailed logs what could not be had and passes on what reaches further than
// single mails. A mail left out stays unknown, so the next poll asks again.
func (p *poll) sayFailed(box string, err error) error {
	if err == nil || RadiusOf(err) != MessageRadius {
		return err
	}
	failed := flatten(err)
	p.report.Failed += len(failed)
	for _, e := range failed {
		p.say("message not taken, the next poll tries again", box, e)
	}
	return nil
}

// say warns of a failure that concerns one mail, the first time it is met.
func (p *poll) say(what, box string, err error) {
	level := slog.LevelDebug
	if p.notes.news(p.m, box, err) {
		level = slog.LevelWarn
	}
	p.log.Log(context.Background(), level, what, "mailbox", p.m.Name, "box", box, "error", err)
}

// flatten gives the errors joined in err, at any depth, or err alone.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}
