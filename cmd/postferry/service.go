package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// service is the two halves on one spool.
type service struct {
	spool      *spool.Spool
	fetcher    *fetcher.Fetcher
	dispatcher *sinks.Dispatcher
	sinks      []sinks.Sink
	log        *slog.Logger
	started    time.Time
}

// serviceOptions are what differs between the commands that run the halves.
type serviceOptions struct {
	readOnly bool                                       // boxes are opened without changing anything
	wrap     func(name string, s sinks.Sink) sinks.Sink // around each sink; nil: none
	mailbox  func(*fetcher.Mailbox)                     // a last word on each mailbox; nil: none
	observe  func(sinks.Event)                          // told of every routing and attempt; nil: nobody
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
		return nil, false, configError(fmt.Errorf("%w: run that version, or restore an older backup of %s", spool.ErrNewer, path))
	case err != nil:
		return nil, false, err
	}
	if sp, err = spool.Open(ctx, store, spool.Options{Retain: s.Retain, Logger: log}); err != nil {
		return nil, false, errors.Join(err, store.Close())
	}
	return sp, store.Fresh(), nil
}

// storeAtRest opens the store for a command that looks at it while no service
// runs; it is not made where there is none.
func (c *cli) storeAtRest(ctx context.Context, s *setup) (*spool.Spool, error) {
	if !storeExists(s.Store.Path) {
		return nil, errNoStore(s.Store.Path)
	}
	sp, _, err := openStore(ctx, s, slog.New(slog.DiscardHandler))
	return sp, err
}

// newService puts the halves together. Nothing runs yet; close ends it.
func newService(s *setup, sp *spool.Spool, log *slog.Logger, o serviceOptions) (_ *service, err error) {
	v := &service{spool: sp, log: log, started: time.Now()}
	defer func() {
		if err != nil {
			v.closeSinks()
		}
	}()
	destinations := map[string]sinks.Destination{}
	for _, k := range s.sinks {
		d, err := k.destination()
		if err != nil {
			return nil, err
		}
		v.sinks = append(v.sinks, d.Sink)
		if o.wrap != nil {
			d.Sink = o.wrap(k.Name, d.Sink)
		}
		destinations[k.Name] = d
	}
	routes := map[string][]sinks.Route{}
	var mailboxes []*fetcher.Mailbox
	for _, m := range s.mailboxes {
		routes[m.Name] = m.routes
		box, err := m.mailbox(o.readOnly, log)
		if err != nil {
			return nil, err
		}
		if o.mailbox != nil {
			o.mailbox(box)
		}
		mailboxes = append(mailboxes, box)
	}
	v.dispatcher = sinks.New(sp, routes, destinations, sinks.Options{Logger: log, Observe: o.observe})
	v.fetcher = fetcher.New(sp, mailboxes, fetcher.Options{Logger: log})
	return v, nil
}

// give runs the giving half until stop is called, which waits for its end and
// returns why it ended. The context it returns ends with it.
func (v *service) give(ctx context.Context) (_ context.Context, stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- v.dispatcher.Run(ctx)
	}()
	return ctx, func() error {
		cancel()
		return <-ended
	}
}

// run takes and gives until ctx ends, then lets what is under way end.
func (v *service) run(ctx context.Context) error {
	ctx, stop := v.give(ctx)
	_ = v.fetcher.Run(ctx) // its error is that ctx ended
	return stop()
}

// status is what the control socket answers.
func (v *service) status(ctx context.Context) (admin.Status, error) {
	st, err := v.spool.Status(ctx)
	b := thisBuild()
	return admin.Status{Running: true, Version: b.Version, PID: os.Getpid(), Started: &v.started, Store: st}, err
}

func (v *service) closeSinks() error {
	var errs []error
	for _, s := range v.sinks {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// close lets go of sinks and store; nothing may be running.
func (v *service) close() error {
	return errors.Join(v.closeSinks(), v.spool.Close())
}
