package fetcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/spool"
)

const (
	// refusedMost is how many refused sign-ins of one account a day are risked:
	// servers lock accounts that fail more often.
	refusedMost = 12
	day         = 24 * time.Hour
)

// accounts are what the mailboxes of one account and the accounts of one host
// share. They are safe for concurrent use.
type accounts struct {
	mu    sync.Mutex
	all   map[string]*account
	hosts map[string]*host
}

// account is one user on one server.
type account struct {
	turn *semaphore.Weighted // of 1: one session is opened at a time, since a refusal concerns all

	mu      sync.Mutex
	bound   int                 // sessions at a time; 0: no bound
	room    *semaphore.Weighted // of bound
	tended  int                 // mailboxes looked after
	staying int                 // sessions that wait for mail

	loaded  bool
	ledger  accountNote
	written accountNote
}

// accountNote is what outlives the process, as JSON in the cursor of a box of its
// own beside the account's ledgers.
type accountNote struct {
	SignIn  string      `json:"signIn,omitempty"`  // what was refused, see Mailbox.SignIn
	Refused []time.Time `json:"refused,omitempty"` // sign-ins, within a day, the oldest first
	Since   time.Time   `json:"since,omitzero"`    // when Octets began to be counted
	Octets  int64       `json:"octets,omitempty"`  // retrieved within a day

	Pause    time.Duration `json:"pause,omitempty"`   // between sign-ins, as the server wants it
	Slowed   time.Time     `json:"slowed,omitzero"`   // when Pause was last learned from a refusal; zero: it was announced
	SignedIn time.Time     `json:"signedIn,omitzero"` // or tried to, where there is a Pause
}

func (n accountNote) equal(o accountNote) bool {
	return n.SignIn == o.SignIn && slices.EqualFunc(n.Refused, o.Refused, time.Time.Equal) && n.Since.Equal(o.Since) && n.Octets == o.Octets &&
		n.Pause == o.Pause && n.Slowed.Equal(o.Slowed) && n.SignedIn.Equal(o.SignedIn)
}

// noteBox names the box whose cursor holds the note.
const noteBox = "what is known of the account"

// of is the account of a mailbox.
func (a *accounts) of(m *Mailbox) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all, a.hosts = map[string]*account{}, map[string]*host{}
	}
	acc := a.all[m.Account]
	if acc == nil {
		acc = &account{turn: semaphore.NewWeighted(1)}
		a.all[m.Account] = acc
	}
	acc.mu.Lock()
	defer acc.mu.Unlock()
	if n := m.Budget.Connections; n != acc.bound {
		acc.bound, acc.room = n, nil
		if n > 0 {
			acc.room = semaphore.NewWeighted(int64(n))
		}
	}
	return acc
}

// host is where the mailbox is.
func (a *accounts) host(m *Mailbox) *host {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hosts[m.Host] == nil {
		a.hosts[m.Host] = newHost()
	}
	return a.hosts[m.Host]
}

// enter takes one of the account's sessions. leave gives it back.
func (acc *account) enter(ctx context.Context) (leave func(), err error) {
	acc.mu.Lock()
	room := acc.room
	acc.mu.Unlock()
	if room == nil {
		return func() {}, nil
	}
	if err := room.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { room.Release(1) }), nil
}

// tend counts one more mailbox of the account until the function it gives is
// called.
func (acc *account) tend() func() {
	add := func(n int) {
		acc.mu.Lock()
		defer acc.mu.Unlock()
		acc.tended += n
	}
	add(1)
	return func() { add(-1) }
}

// stay reports whether one more session may be kept open to wait for mail: one is
// left for those that only look and go, unless all find room. stop ends it.
func (acc *account) stay() (stop func(), ok bool) {
	acc.mu.Lock()
	defer acc.mu.Unlock()
	if acc.bound > 0 && acc.tended > acc.bound && acc.staying+1 >= acc.bound {
		return nil, false
	}
	acc.staying++
	return func() {
		acc.mu.Lock()
		defer acc.mu.Unlock()
		acc.staying--
	}, true
}

// queue waits until the account and its host have room for one more session. What
// it holds is given back by close, and as far as it concerns the opening alone by
// open; where neither is called, by giveBack.
func (p *poll) queue(ctx context.Context) error {
	acc := p.accounts.of(p.m)
	leave, err := acc.enter(ctx)
	if err != nil {
		return err
	}
	if err := acc.turn.Acquire(ctx, 1); err != nil {
		leave()
		return err
	}
	h := p.accounts.host(p.m)
	if err := h.begin(ctx); err != nil {
		acc.turn.Release(1)
		leave()
		return err
	}
	p.leave = leave
	p.opened = sync.OnceFunc(func() { h.end(); acc.turn.Release(1) })
	return nil
}

// giveBack gives back what queue holds.
func (p *poll) giveBack() {
	if p.leave != nil {
		p.opened()
		p.leave()
	}
}

// open opens the visit's session. A sign-in that was refused lately is not tried:
// see refusedUntil; nor is one, with errPaused, for which the server wants more time.
func (p *poll) open(ctx context.Context) error {
	acc, h := p.accounts.of(p.m), p.accounts.host(p.m)
	if err := p.load(ctx, acc); err != nil {
		return err
	}
	if err := p.mayTry(acc); err != nil {
		return err
	}
	if p.pause(acc) {
		return errPaused
	}
	defer p.opened() // not before what came of it is noted, since it concerns all
	s, err := p.m.Source.Open(ctx)
	refused := RadiusOf(err) == AccountRadius && CauseOf(err) == Refused
	soon, tooSoon := errors.AsType[*TooSoonError](err)
	h.judge(err == nil || refused || tooSoon)
	if err == nil || tooSoon {
		if noted := p.paced(ctx, acc, s, soon); noted != nil {
			if s != nil {
				s.Close()
			}
			return noted
		}
	}
	if err != nil && !refused {
		return err
	}
	if noted := p.signedIn(ctx, acc, err == nil); noted != nil && err == nil {
		s.Close()
		return noted
	}
	p.s = s
	return err
}

// mayTry is an error while a sign-in must not be tried.
func (p *poll) mayTry(acc *account) error {
	acc.mu.Lock()
	defer acc.mu.Unlock()
	n := &acc.ledger
	now := p.clock.Now()
	n.Refused = slices.DeleteFunc(n.Refused, func(at time.Time) bool { return now.Sub(at) >= day })
	if len(n.Refused) == 0 || n.SignIn != p.m.SignIn {
		return nil
	}
	until := refusedUntil(n.Refused)
	if !now.Before(until) {
		return nil
	}
	return &Error{
		Radius: AccountRadius, Cause: Refused, Op: "signing in to " + p.m.Account,
		Err:  fmt.Errorf("refused before, in %d of at most %d tries a day; tried again at %s", len(n.Refused), refusedMost, until.Format(time.DateTime)),
		Hint: "correct the credentials: a changed configuration is tried at once",
	}
}

// refusedUntil is when a sign-in may be tried that was refused at these times: a
// minute, ten, an hour, then three after the last, and a dozen times a day at most.
func refusedUntil(at []time.Time) time.Time {
	n := len(at)
	until := at[n-1].Add(accountWaits[min(n, len(accountWaits))-1])
	if n >= refusedMost {
		if next := at[n-refusedMost].Add(day); next.After(until) {
			until = next
		}
	}
	return until
}

// signedIn notes how a sign-in went.
func (p *poll) signedIn(ctx context.Context, acc *account, well bool) error {
	acc.mu.Lock()
	acc.ledger.SignIn = p.m.SignIn
	if well {
		acc.ledger.SignIn, acc.ledger.Refused = "", nil
	} else {
		acc.ledger.Refused = append(slices.Clone(acc.ledger.Refused), p.clock.Now().UTC().Truncate(time.Second))
	}
	acc.mu.Unlock()
	return p.save(ctx, acc)
}

// retrieved counts octets against the account's budget. It is kept by save.
func (p *poll) retrieved(octets int64) {
	acc := p.accounts.of(p.m)
	acc.mu.Lock()
	defer acc.mu.Unlock()
	n := &acc.ledger
	if now := p.clock.Now(); now.Sub(n.Since) >= day {
		n.Since, n.Octets = now.UTC().Truncate(time.Second), 0
	}
	n.Octets += octets
}

// spent reports that the account's octets of the day are used up, and says so.
func (p *poll) spent(box string) bool {
	if p.m.Budget.Octets <= 0 {
		return false
	}
	acc := p.accounts.of(p.m)
	acc.mu.Lock()
	since, octets := acc.ledger.Since, acc.ledger.Octets
	acc.mu.Unlock()
	until := since.Add(day)
	if octets < p.m.Budget.Octets || !p.clock.Now().Before(until) {
		return false
	}
	p.say("mail left for later", box, fmt.Errorf("the account's budget of %d octets a day is used up (budget); more is taken from %s on",
		p.m.Budget.Octets, until.Format(time.DateTime)))
	return true
}

// load reads the note once in the life of the process.
func (p *poll) load(ctx context.Context, acc *account) error {
	acc.mu.Lock()
	loaded := acc.loaded
	acc.mu.Unlock()
	if loaded {
		return nil
	}
	text, err := p.sp.Cursor(ctx, spool.BoxKey{Account: p.m.Account, Box: noteBox})
	if err != nil {
		return err
	}
	var n accountNote
	if text != "" && json.Unmarshal([]byte(text), &n) != nil {
		n = accountNote{} // written by another version
	}
	acc.mu.Lock()
	defer acc.mu.Unlock()
	if !acc.loaded {
		acc.ledger, acc.written, acc.loaded = n, n, true
	}
	return nil
}

// save writes the note if it has changed.
func (p *poll) save(ctx context.Context, acc *account) error {
	acc.mu.Lock()
	n := acc.ledger
	n.Refused = slices.Clone(n.Refused)
	same := n.equal(acc.written)
	acc.mu.Unlock()
	if same {
		return nil
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	_, _, err = p.sp.Reconcile(context.WithoutCancel(ctx), spool.BoxKey{Account: p.m.Account, Box: noteBox}, nil, false, string(text))
	if err != nil {
		return err
	}
	acc.mu.Lock()
	defer acc.mu.Unlock()
	acc.written = n
	return nil
}
