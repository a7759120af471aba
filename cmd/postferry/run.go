package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

// runFlags are the flags of run.
type runFlags struct {
	once   bool
	dryRun bool
	limit  int
	wait   time.Duration
}

func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Take mail on schedule and deliver it, until stopped",
		Long: `Run takes mail from every mailbox on its schedule, and the moment it arrives
where the server can tell; it delivers each mail until every sink has accepted
it, and then settles it on the server. SIGTERM ends it without losing anything.

With --once it polls every mailbox once, delivers what is due, settles, and
exits: 0 when all went well, 3 when there are dead letters, 75 when a delivery
is left for later, 69, 76, 77 when a mailbox could not be reached, understood
or signed in to.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd, f) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.once, "once", false, "poll every mailbox once, deliver, settle, exit")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would be sent; mark, delete and send nothing")
	flags.IntVar(&f.limit, "limit", 0, "take at most `N` mails from each mailbox in one poll; 0: all")
	flags.DurationVar(&f.wait, "wait", 2*time.Minute, "with --once: wait this long for retries that come due")
	storeFlags(flags)
	flags.String("listen", "", "address of health checks and metrics, instead of the configuration's")
	return cmd
}

func (c *cli) run(cmd *cobra.Command, f runFlags) error {
	if f.limit < 0 || f.wait < 0 {
		return usageError(errors.New("--limit and --wait must not be negative"))
	}
	log, err := c.logger()
	if err != nil {
		return err
	}
	s, err := c.load(cmd.Flags(), false)
	if err != nil {
		return err
	}
	s.say(log)
	if f.dryRun {
		return c.dryRun(cmd.Context(), s, f, log)
	}
	sp, fresh, err := openStore(cmd.Context(), s, log)
	if err != nil {
		return err
	}
	if fresh {
		log.Warn("the store is new: nothing is known of mail taken before; if postferry has run with this configuration, its store was lost or moved",
			"store", s.Store.Path)
	}
	feed := admin.NewFeed()
	o := serviceOptions{
		mailbox: func(m *fetcher.Mailbox) { m.Limit = f.limit },
		observe: func(e sinks.Event) {
			if feed.Followed() {
				feed.Publish(liveEvent(e, time.Now()))
			}
		},
		mailboxes: func(e fetcher.Event) { feed.Publish(mailboxEvent(e)) },
	}
	v, err := newService(s, sp, log, o)
	if err != nil {
		return errors.Join(err, sp.Close())
	}
	control, err := admin.Listen(admin.SocketPath(s.Store.Path), admin.Backend{Status: v.status, Feed: feed, Operator: sp})
	if err != nil {
		return errors.Join(err, v.close())
	}
	if f.once {
		err = v.once(cmd.Context(), f.wait)
	} else {
		err = c.serve(cmd, s, v, log)
	}
	return errors.Join(err, control.Close(), v.close())
}

// serve is the service: health checks, reloads on SIGHUP, and the end by SIGTERM.
func (c *cli) serve(cmd *cobra.Command, s *setup, v *service, log *slog.Logger) error {
	if s.Listen != "" {
		var more []admin.Route
		if l := newLinker(s.Config); l != nil {
			more = append(more, admin.Route{Pattern: "GET " + linksPath + "{delivery}/{part}", Handler: l.served(v.spool, log)})
		}
		health, err := admin.ListenHealth(s.Listen, v.status, more...)
		if err != nil {
			return configError(err)
		}
		defer health.Close()
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	reloads := make(chan *setup)
	var watching sync.WaitGroup
	defer func() { cancel(); watching.Wait() }()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	watching.Go(func() { c.reloads(ctx, cmd.Flags(), s, hangups, reloads, log) })
	log.Info("postferry started", "version", thisBuild().Version, "pid", os.Getpid(), "store", s.Store.Path,
		"mailboxes", len(s.mailboxes), "sinks", len(s.sinks))
	err := v.run(ctx, reloads)
	log.Info("postferry stopped")
	return err
}

// reloads reads the configuration again at each SIGHUP. One that is wrong leaves
// the old one in force and says why.
func (c *cli) reloads(ctx context.Context, flags *pflag.FlagSet, first *setup, hangups <-chan os.Signal, reloads chan<- *setup, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		s, err := c.load(flags, false)
		if err == nil {
			err = restartOnly(first, s)
		}
		if err != nil {
			log.Error("reload failed, the old configuration stays in force", "error", err)
			continue
		}
		s.say(log)
		select {
		case reloads <- s:
		case <-ctx.Done():
		}
	}
}

// restartOnly refuses changes that a running service cannot make.
func restartOnly(old, now *setup) error {
	for _, c := range []struct {
		key      string
		old, now any
	}{
		{"store", old.Store, now.Store},
		{"listen", old.Listen, now.Listen},
		{"retain", old.Retain, now.Retain},
		{"quota", old.Quota, now.Quota},
		{"public_url", old.PublicURL, now.PublicURL},
		{"link_secret", old.LinkSecret, now.LinkSecret}, // which prints masked
	} {
		if c.old != c.now {
			return fmt.Errorf("%s was %v and is now %v: restart postferry to change it", c.key, c.old, c.now)
		}
	}
	return nil
}

// once polls every mailbox once, delivers what is due until now and wait from
// now, and settles.
func (v *service) once(ctx context.Context, wait time.Duration) error {
	giving, cancel := context.WithCancel(ctx)
	defer cancel()
	g := v.give(giving, cancel)
	reports := v.fetcher.Once(giving)
	drained := v.spool.Drain(giving, time.Now().Add(wait))
	err := g.stop()
	if err == nil && ctx.Err() == nil {
		err = drained
	}
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &exitError{code: exitTemporary, err: errors.New("stopped before the end; what was not delivered is in the store")}
	}
	settled := v.fetcher.Settle(ctx)
	code := exitOK
	for i, r := range append(reports, settled...) {
		if r.Err == nil {
			continue
		}
		code = worse(code, causeCode(r.Err))
		doing := "mailbox failed"
		if i >= len(reports) {
			doing = "settling failed, a later run settles"
		}
		v.log.Error(doing, "mailbox", r.Mailbox, "error", r.Err)
	}
	for _, r := range reports {
		if r.Failed > 0 {
			code = worse(code, exitTemporary)
		}
	}
	st, err := v.spool.Status(ctx)
	if err != nil {
		return err
	}
	code = worse(code, statusCode(st))
	v.summarize(append(reports, settled...), len(reports), st)
	if code != exitOK {
		return &exitError{code: code, quiet: true, err: fmt.Errorf("exit code %d", code)}
	}
	return nil
}

// statusCode says what the state of the store means for the exit code.
func statusCode(st spool.Status) int {
	code := exitOK
	for _, s := range st.Sinks {
		if s.Dead > 0 {
			code = worse(code, exitDead)
		}
		if s.Pending+s.Deferred > 0 {
			code = worse(code, exitTemporary)
		}
	}
	for _, m := range st.Mailboxes {
		if m.Quarantined > 0 {
			code = worse(code, exitDead)
		}
	}
	return code
}

// summarize says in one line what the run came to.
func (v *service) summarize(reports []fetcher.Report, mailboxes int, st spool.Status) {
	var taken, settled, failed int
	for _, r := range reports {
		taken += r.Taken
		settled += r.Settled
		failed += r.Failed
	}
	var waiting, dead int
	for _, s := range st.Sinks {
		waiting += s.Pending + s.Deferred
		dead += s.Dead
	}
	var unrouted, owed int
	for _, m := range st.Mailboxes {
		unrouted += m.Unrouted
		owed += m.Settlements
	}
	v.log.Info("run ended", "mailboxes", mailboxes, "taken", taken, "failed", failed,
		"settled", settled, "waiting", waiting, "dead", dead, "unrouted", unrouted, "owed", owed)
}
