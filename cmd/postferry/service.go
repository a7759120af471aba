package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// service is the two halves on one spool.
type service struct {
	spool   *spool.Spool
	fetcher *fetcher.Fetcher
	tokens  *oauth.Pool // outlives reloads
	log     *slog.Logger
	started time.Time
	options serviceOptions

	mailboxes []runningMailbox
	sinks     []runningSink
	giving    *giving
	given     sync.WaitGroup // givings of before a reload, and the closing of their sinks
}

// runningMailbox is a mailbox as it was configured and what was made of it.
type runningMailbox struct {
	mailboxSetup
	box *fetcher.Mailbox
}

// runningSink is a sink as it was configured and what was made of it.
type runningSink struct {
	sinkSetup
	destination sinks.Destination
}

// serviceOptions are what differs between the commands that run the halves.
type serviceOptions struct {
	readOnly  bool                                       // boxes are opened without changing anything
	inert     bool                                       // sinks are made for previews alone
	wrap      func(name string, s sinks.Sink) sinks.Sink // around each sink; nil: none
	mailbox   func(*fetcher.Mailbox)                     // a last word on each mailbox; nil: none
	observe   func(sinks.Event)                          // told of every routing and attempt; nil: nobody
	mailboxes func(fetcher.Event)                        // told how mailboxes fare; nil: nobody
}

// openStore takes the store for this process; fresh is true where it was made
// just now.
func openStore(ctx context.Context, s *setup, log *slog.Logger) (sp *spool.Spool, fresh bool, err error) {
	path := s.Store.Path
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, false, configError(fmt.Errorf("making the folder of the store: %w", err))
	}
	store, err := sqlite.Open(ctx, path)
	switch {
	case errors.Is(err, spool.ErrLocked):
		return nil, false, &exitError{code: exitTemporary, err: fmt.Errorf("%w (%s): stop it first, or give this one a store of its own", spool.ErrLocked, path)}
	case errors.Is(err, spool.ErrNewer):
		return nil, false, newerStore(path)
	case errors.Is(err, spool.ErrForeign):
		return nil, false, configError(err)
	case err != nil:
		return nil, false, err
	}
	if sp, err = spool.Open(ctx, store, spool.Options{Retain: s.Retain, Quota: int64(s.Quota), Logger: log}); err != nil {
		return nil, false, errors.Join(err, store.Close())
	}
	return sp, store.Fresh(), nil
}

// storeAtRest opens the store for a command while no service runs; it is not
// made where there is none. With look nothing in it can be changed.
func (c *cli) storeAtRest(ctx context.Context, s *setup, look bool) (*spool.Spool, error) {
	if !storeExists(s.Store.Path) {
		return nil, errNoStore(s.Store.Path)
	}
	if !look {
		sp, _, err := openStore(ctx, s, slog.New(slog.DiscardHandler))
		return sp, err
	}
	store, err := sqlite.OpenReadOnly(ctx, s.Store.Path)
	if errors.Is(err, spool.ErrNewer) {
		return nil, newerStore(s.Store.Path)
	}
	if errors.Is(err, spool.ErrForeign) {
		return nil, configError(err)
	}
	if err != nil {
		return nil, err
	}
	sp, err := spool.Open(ctx, store, spool.Options{ReadOnly: true, Retain: s.Retain, Quota: int64(s.Quota)})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return sp, nil
}

func newerStore(path string) error {
	return configError(fmt.Errorf("%w: run that version, or restore an older backup of %s", spool.ErrNewer, path))
}

// newService puts the halves together. Nothing runs yet; close ends it.
func newService(s *setup, sp *spool.Spool, log *slog.Logger, o serviceOptions) (*service, error) {
	if s.PublicURL != "" && s.LinkSecret.IsZero() {
		return nil, configError(errors.New("public_url is set, and nothing signs the links: set link_secret; make one with: openssl rand -base64 32"))
	}
	v := &service{spool: sp, tokens: s.tokenPool(log), log: log, started: time.Now(), options: o}
	if err := v.prepare(s, nil, nil); err != nil {
		return nil, err
	}
	v.fetcher = fetcher.New(sp, v.boxes(), fetcher.Options{Logger: log, Observe: o.mailboxes})
	return v, nil
}

// prepare makes mailboxes and sinks of a configuration, and takes over those of
// before that are configured as they were. On an error nothing has changed.
func (v *service) prepare(s *setup, mailboxes []runningMailbox, running []runningSink) (err error) {
	var made []sinks.Sink
	defer func() {
		if err != nil {
			_ = closeAll(made)
		}
	}()
	var newSinks []runningSink
	for _, k := range s.sinks {
		if i := slices.IndexFunc(running, func(r runningSink) bool {
			return r.Name == k.Name && r.Section.Equal(k.Section) && (k.Type != "smtp" || slices.Equal(r.env.Own, k.env.Own))
		}); i >= 0 {
			newSinks = append(newSinks, runningSink{k, running[i].destination})
			continue
		}
		k.env.Logger, k.env.Tokens = v.log.With("sink", k.Name), v.tokens
		d, err := k.destination(v.options.inert)
		if err != nil {
			return err
		}
		made = append(made, d.Sink)
		if v.options.wrap != nil {
			d.Sink = v.options.wrap(k.Name, d.Sink)
		}
		newSinks = append(newSinks, runningSink{k, d})
	}
	var newMailboxes []runningMailbox
	for _, m := range s.mailboxes {
		if i := slices.IndexFunc(mailboxes, func(r runningMailbox) bool { return r.Name == m.Name && r.Section.Equal(m.Section) }); i >= 0 {
			newMailboxes = append(newMailboxes, runningMailbox{m, mailboxes[i].box})
			continue
		}
		box, err := m.mailbox(sourceEnv{v.tokens, v.options.readOnly, v.log})
		if err != nil {
			return err
		}
		if v.options.mailbox != nil {
			v.options.mailbox(box)
		}
		newMailboxes = append(newMailboxes, runningMailbox{m, box})
	}
	v.mailboxes, v.sinks = newMailboxes, newSinks
	return nil
}

func (v *service) boxes() []*fetcher.Mailbox {
	var boxes []*fetcher.Mailbox
	for _, m := range v.mailboxes {
		boxes = append(boxes, m.box)
	}
	return boxes
}

// giving is a dispatcher that runs.
type giving struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // why it ended; to be read when done is closed
}

// give starts the giving half. failed, if not nil, is called should it end by an
// error.
func (v *service) give(ctx context.Context, failed func()) *giving {
	routes, destinations, trusted := map[string][]sinks.Route{}, map[string]sinks.Destination{}, map[string][]string{}
	for _, m := range v.mailboxes {
		routes[m.Name], trusted[m.Name] = m.routes, m.AuthservIDs
	}
	for _, k := range v.sinks {
		destinations[k.Name] = k.destination
	}
	d := sinks.New(v.spool, routes, destinations, sinks.Options{Logger: v.log, Observe: v.options.observe, Trusted: trusted})
	ctx, cancel := context.WithCancel(ctx)
	g := &giving{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		if g.err = d.Run(ctx); g.err != nil && failed != nil {
			failed()
		}
	}()
	return g
}

// stop lets the deliveries under way end and returns why the giving ended.
func (g *giving) stop() error {
	g.cancel()
	<-g.done
	return g.err
}

// run takes and gives until ctx ends, then lets what is under way end. Each value
// of reload is a configuration to go on with.
func (v *service) run(ctx context.Context, reload <-chan *setup) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.giving = v.give(ctx, cancel)
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		_ = v.fetcher.Run(ctx) // its error is that ctx ended
	}()
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case s := <-reload:
			if err := v.reload(ctx, cancel, s); err != nil {
				v.log.Error("reload failed, the old configuration stays in force", "error", err)
			}
		}
	}
	<-taken
	err := v.giving.stop()
	v.given.Wait()
	return err
}

// reload goes on with another configuration. Mailboxes and sinks that are
// configured as before keep their connections. The dispatcher of before claims
// nothing more and ends when its deliveries have, beside the new one.
func (v *service) reload(ctx context.Context, failed func(), s *setup) error {
	oldMailboxes, oldSinks, old := v.mailboxes, v.sinks, v.giving
	if err := v.prepare(s, oldMailboxes, oldSinks); err != nil {
		return err
	}
	v.fetcher.Replace(v.boxes())
	old.cancel()
	v.giving = v.give(ctx, failed)
	var gone []sinks.Sink
	for _, k := range oldSinks {
		if !slices.ContainsFunc(v.sinks, func(n runningSink) bool { return n.destination.Sink == k.destination.Sink }) {
			gone = append(gone, k.destination.Sink)
		}
	}
	v.given.Go(func() {
		<-old.done
		if err := closeAll(gone); err != nil {
			v.log.Warn("a sink of the old configuration was not closed cleanly", "error", err)
		}
	})
	v.log.Info("configuration reloaded", "mailboxes", len(v.mailboxes), "sinks", len(v.sinks), "closed", len(gone))
	return nil
}

// status is what the control socket answers.
func (v *service) status(ctx context.Context) (admin.Status, error) {
	st, err := v.spool.Status(ctx)
	b := thisBuild()
	return admin.Status{Running: true, Version: b.Version, PID: os.Getpid(), Started: &v.started, Slowed: slowed(v.fetcher.Paces()), Store: st}, err
}

// slowed is what `status` shows of the paces of mailboxes.
func slowed(paces []fetcher.Pace) []admin.Slowed {
	all := []admin.Slowed{}
	for _, p := range paces {
		all = append(all, admin.Slowed{Mailbox: p.Mailbox, Seconds: int64(p.Pause / time.Second), Until: p.Until.UTC()})
	}
	return all
}

func closeAll(all []sinks.Sink) error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// close lets go of sinks and store; nothing may be running.
func (v *service) close() error {
	var all []sinks.Sink
	for _, k := range v.sinks {
		all = append(all, k.destination.Sink)
	}
	return errors.Join(closeAll(all), v.spool.Close())
}
