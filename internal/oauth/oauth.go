// Package oauth gets OAuth 2.0 access tokens (RFC 6749) for mailboxes and keeps
// them fresh. A Pool holds one Source for each token there is, so that however
// many mailboxes share it, it is fetched once.
//
// A token comes from an authorisation server, for a refresh token (RFC 6749
// section 6) or for the client's own credentials (section 4.4), or from a command
// of the operator's. The requests are made by golang.org/x/oauth2; what is here is
// when they are made: a while before the old token ends, one at a time, again once
// when a mail server refuses a token before its time, and not again for a while
// when the authorisation server has said no.
//
// Authorisation servers may give a new refresh token with each access token and
// forget the old one (section 6, last paragraph). The newest is kept in a file that
// only its owner can read, under a lock that other processes respect; see keep.go.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
)

const (
	// ahead is how long before its end a token is replaced, if a quarter of its life
	// is not less.
	ahead = 5 * time.Minute
	// unknownLife is how long a token counts as good whose server does not say, and
	// unsaidLife the same for commands, which keep tokens themselves.
	unknownLife = 10 * time.Minute
	unsaidLife  = 30 * time.Second
	// young is the age up to which a refused token is not replaced: another one
	// would be refused for the same reason.
	young = time.Minute
	// refusedHold is how long a refusal of the authorisation server holds for all
	// who share the token.
	refusedHold = 10 * time.Minute
	// dying is how long before a refresh token ends warnings begin, and warnEvery
	// how often they come.
	dying     = 7 * 24 * time.Hour
	warnEvery = 24 * time.Hour
)

// Options of a Pool. The zero Options keep no rotated tokens and log nothing.
type Options struct {
	File   string       // where rotated refresh tokens are kept; "" is nowhere
	Clock  clock.Clock  // nil is clock.System
	Logger *slog.Logger // nil: nothing is logged
}

// Pool holds the sources of a process. It is safe for concurrent use.
type Pool struct {
	keep  keeper
	clock clock.Clock
	log   *slog.Logger
	http  *http.Client

	mu      sync.Mutex
	sources map[[32]byte]*Source
}

// NewPool makes a Pool. Nothing is opened or asked.
func NewPool(o Options) *Pool {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{
		keep: keeper{file: o.File, clock: o.Clock}, clock: o.Clock, log: o.Logger, http: newClient(),
		sources: map[[32]byte]*Source{},
	}
}

// Source gives the source for a configuration, the same for all that get the same
// token. Its error says which key of the configuration to change.
func (p *Pool) Source(c Config) (*Source, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := c.identity()
	if p.sources[id] == nil {
		p.sources[id] = &Source{pool: p, c: c, turn: make(chan struct{}, 1)}
	}
	return p.sources[id], nil
}

// Source gives one access token and replaces it in time.
type Source struct {
	pool *Pool
	c    Config
	turn chan struct{} // held by who fetches

	newest secret.Secret // refresh token that could not be kept in the file; belongs to who has the turn

	mu       sync.Mutex
	rounds   int // fetches that have ended
	token    secret.Secret
	obtained time.Time
	expiry   time.Time
	failed   error     // of the last fetch
	failedAt time.Time // if the authorisation server refused
	lapse    lapse
}

var _ sasl.TokenSource = (*Source)(nil)

// Token implements sasl.TokenSource. While a token is good but near its end, a
// failure to replace it is logged and the token given. A record in the context is
// told.
func (s *Source) Token(ctx context.Context) (secret.Secret, error) {
	record := dial.RecordOf(ctx)
	record.Begin(dial.StepToken)
	token, err := s.get(ctx, func() bool { return s.pool.clock.Now().Before(s.expiry.Add(-s.margin())) })
	if err != nil {
		return secret.Secret{}, err
	}
	record.Hide(token)
	s.describe(record)
	return token, nil
}

// Renew implements sasl.TokenSource. It fails for a token that is not a minute
// old.
func (s *Source) Renew(ctx context.Context, refused secret.Secret) (secret.Secret, error) {
	other := func() bool { return s.token.Reveal() != refused.Reveal() }
	s.mu.Lock()
	fresh := !other() && s.pool.clock.Now().Sub(s.obtained) < young
	s.mu.Unlock()
	if fresh {
		return secret.Secret{}, errTooYoung
	}
	token, err := s.get(ctx, other)
	if err == nil && token.Reveal() == refused.Reveal() {
		err = errSame
	}
	if err != nil {
		return secret.Secret{}, err
	}
	dial.RecordOf(ctx).Hide(token)
	return token, nil
}

var (
	errTooYoung = errors.New("the token was made just now, and another one would fare no better")
	errSame     = errors.New("the same token came again")
)

// get gives the token as it is if it will do, else fetches one. Of those who come
// while it is being fetched none fetches again: they share what came of it.
func (s *Source) get(ctx context.Context, will func() bool) (secret.Secret, error) {
	s.mu.Lock()
	rounds := s.rounds
	if !s.token.IsZero() && will() {
		defer s.mu.Unlock()
		return s.token, nil
	}
	s.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return secret.Secret{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.pool.clock.Now()
	switch {
	case s.rounds != rounds: // somebody else has fetched meanwhile
	case !s.failedAt.IsZero() && now.Sub(s.failedAt) < refusedHold:
	default:
		s.mu.Unlock()
		got, err := s.fetch(ctx)
		s.mu.Lock()
		if ctx.Err() != nil && err != nil {
			return secret.Secret{}, context.Cause(ctx) // says nothing for others
		}
		s.settle(got, err)
	}
	return s.outcome(will)
}

// settle keeps what a fetch came to. Needs mu.
func (s *Source) settle(got answer, err error) {
	s.rounds++
	s.failed, s.failedAt = err, time.Time{}
	now := s.pool.clock.Now()
	if err != nil {
		if IsRefused(err) {
			s.failedAt = now
		}
		return
	}
	life := got.life
	if life <= 0 {
		life = unknownLife
		if s.c.kind() == byCommand {
			life = unsaidLife
		}
	}
	s.token, s.obtained, s.expiry = got.token, now, now.Add(life)
	if text := s.lapse.note(got, now); text != "" {
		s.pool.log.Warn(text, "server", s.c.host())
	}
}

// outcome is the token or the failure. Needs mu.
func (s *Source) outcome(will func() bool) (secret.Secret, error) {
	switch {
	case s.failed == nil:
		return s.token, nil
	case !s.token.IsZero() && will():
		return s.token, nil
	case !s.token.IsZero() && s.pool.clock.Now().Before(s.expiry) && s.failedAt.IsZero():
		s.pool.log.Warn("access token not renewed yet, the old one is used until its end",
			"error", s.failed, "left", s.expiry.Sub(s.pool.clock.Now()).Round(time.Second))
		return s.token, nil
	}
	return secret.Secret{}, s.failed
}

// margin is how long before its end the token is replaced. Needs mu.
func (s *Source) margin() time.Duration { return min(ahead, s.expiry.Sub(s.obtained)/4) }

// describe tells a record what there is.
func (s *Source) describe(record *dial.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.pool.clock.Now()
	record.Said("an access token %s, good for %s", s.origin(), s.expiry.Sub(now).Round(time.Second))
	if text := s.lapse.warning(now); text != "" {
		record.Warn("%s", text)
	}
}

// origin says where tokens come from.
func (s *Source) origin() string {
	switch s.c.kind() {
	case byCommand:
		return "from " + s.c.Command[0]
	case byRefresh:
		return fmt.Sprintf("from %s, for the refresh token", s.c.host())
	}
	return fmt.Sprintf("from %s, for the client's own credentials", s.c.host())
}
