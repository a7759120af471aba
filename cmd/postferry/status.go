package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/spool"
)

// storeFlags are the flags of commands that use the store.
func storeFlags(flags *pflag.FlagSet) {
	flags.String("store", "", "where mail is kept, instead of the configuration's: sqlite:FILE")
}

func (c *cli) statusCommand() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show mailboxes, sinks and what waits",
		Long: `Status shows each mailbox with the age of its last verified listing and what
waits in it, and each sink with its deliveries. It asks the running service; if
none runs it reads the store.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.load(cmd.Flags(), true)
			if err != nil {
				return err
			}
			st, err := c.status(cmd.Context(), s)
			if err != nil {
				return err
			}
			return output.write(c.out, st, func() { c.printStatus(st, time.Now()) })
		},
	}
	output.add(cmd)
	storeFlags(cmd.Flags())
	return cmd
}

// status asks the service, or the store where none runs.
func (c *cli) status(ctx context.Context, s *setup) (admin.Status, error) {
	st, err := admin.AskStatus(ctx, admin.SocketPath(s.Store.Path))
	if !errors.Is(err, admin.ErrNotRunning) {
		return st, err
	}
	sp, err := c.storeAtRest(ctx, s, true)
	if err != nil {
		return admin.Status{}, err
	}
	defer sp.Close()
	store, err := sp.Status(ctx)
	return admin.Status{Version: thisBuild().Version, Slowed: []admin.Slowed{}, Store: store}, err
}

// errNoStore is the exit of commands that look at a store nobody made yet.
func errNoStore(path string) error {
	return &exitError{code: exitUnavailable, err: fmt.Errorf("there is no store at %s: postferry has not run with this configuration yet", path)}
}

func storeExists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func (c *cli) printStatus(st admin.Status, now time.Time) {
	if st.Running {
		fmt.Fprintf(c.out, "running since %s (pid %d, version %s)\n", age(st.Started, now), st.PID, st.Version)
	} else {
		fmt.Fprintln(c.out, "not running")
	}
	fmt.Fprintf(c.out, "store %s %v\n\n", st.Store.Store, st.Store.Settings)
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MAILBOX\tLISTED\tKNOWN\tIN STORE\tTO ROUTE\tUNROUTED\tQUARANTINED\tTO SETTLE\tERROR")
	for _, m := range st.Store.Mailboxes {
		owed := strconv.Itoa(m.Settlements)
		if m.Declined > 0 {
			owed += fmt.Sprintf(" (%d declined)", m.Declined)
		}
		listed := age(m.Listed, now)
		if m.Mailbox == spool.Local {
			listed = "-" // no server has it
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", m.Mailbox, listed, m.Known, m.Taken, m.ToRoute, m.Unrouted,
			m.Quarantined, owed, dial.Printable(m.Error))
	}
	for _, s := range st.Slowed {
		fmt.Fprintf(t, "\n%s is polled every %s at most, since its server wants that long from one sign-in to the next; not before %s\n",
			s.Mailbox, time.Duration(s.Seconds)*time.Second, s.Until.Local().Format(time.DateTime))
	}
	fmt.Fprintln(t, "\nSINK\tPENDING\tIN LINE\tDEFERRED\tDELIVERED\tDEAD\tHELD")
	for _, s := range st.Store.Sinks {
		held := s.Held
		if held != "" && s.ProbeAt != nil {
			held += " (next probe " + s.ProbeAt.Local().Format(time.DateTime) + ")"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", s.Sink, s.Pending-s.Behind, s.Behind, s.Deferred, s.Delivered, s.Dead, dial.Printable(held))
	}
	t.Flush()
}

// age is how long ago t was.
func age(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	return now.Sub(*t).Round(time.Second).String() + " ago"
}
