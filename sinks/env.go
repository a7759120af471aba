package sinks

import (
	"log/slog"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/oauth"
)

// Env is what the program gives to every sink it makes. The zero Env serves.
type Env struct {
	Version     string       // of postferry, for those that introduce themselves
	Concurrency int          // how many Delivers run at once; 0 is DefaultConcurrency
	Clock       clock.Clock  // nil is clock.System
	Logger      *slog.Logger // nil: nothing is logged
	Tokens      *oauth.Pool  // of access tokens; nil: the sink has one of its own
	Own         []string     // the addresses of the mailboxes that mail is taken from
	Inert       bool         // the sink is only asked for previews: it opens and makes nothing
}

// DefaultConcurrency is how many deliveries of one sink run at once.
const DefaultConcurrency = 8

// WithDefaults fills in what is not set.
func (e Env) WithDefaults() Env {
	if e.Version == "" {
		e.Version = "dev"
	}
	if e.Concurrency <= 0 {
		e.Concurrency = DefaultConcurrency
	}
	if e.Clock == nil {
		e.Clock = clock.System{}
	}
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	return e
}
