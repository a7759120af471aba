package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/spool"
)

// operate calls do with the mail of the store: through the running service, or on
// the store itself where none runs. A command that only looks can change nothing.
func (c *cli) operate(cmd *cobra.Command, look bool, do func(ctx context.Context, s *setup, op admin.Operator) error) (err error) {
	to := cmd.Flags().Lookup("to")
	s, err := c.load(cmd.Flags(), to == nil || !to.Changed) // only a command that sends needs secrets
	if err != nil {
		return err
	}
	ctx, socket := cmd.Context(), admin.SocketPath(s.Store.Path)
	_, err = admin.AskStatus(ctx, socket)
	if err == nil {
		return do(ctx, s, admin.Remote{Path: socket})
	}
	if !errors.Is(err, admin.ErrNotRunning) {
		return err
	}
	sp, err := c.storeAtRest(ctx, s, look)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sp.Close()) }()
	return do(ctx, s, sp)
}

// listFlags choose mails.
type listFlags struct {
	output                          outputFlag
	mailbox, state, sink, since, at string
	limit                           int
}

func (f *listFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.mailbox, "mailbox", "", "only mails of this mailbox")
	flags.StringVar(&f.sink, "sink", "", "only mails with a delivery to this sink")
	flags.StringVar(&f.since, "since", "", "only mails taken since: a time (2026-11-24T09:00:00Z) or an age (2h, 7d)")
	flags.IntVar(&f.limit, "limit", 50, "at most `N` mails")
	flags.StringVar(&f.at, "after", "", "go on after a list that ended with this `MARK`")
	f.output.add(cmd)
	storeFlags(flags)
}

func (f *listFlags) filter(now time.Time) (spool.Filter, error) {
	filter := spool.Filter{Mailbox: f.mailbox, State: spool.State(f.state), Sink: f.sink, Limit: f.limit, Cursor: f.at}
	if f.limit <= 0 {
		return filter, usageError(errors.New("--limit must be positive"))
	}
	if f.state != "" && !slices.Contains(spool.States, filter.State) {
		return filter, usageError(fmt.Errorf("--state %q is not one of %v", f.state, spool.States))
	}
	if f.since == "" {
		return filter, nil
	}
	if at, err := time.Parse(time.RFC3339, f.since); err == nil {
		filter.Since = at
		return filter, nil
	}
	age, err := config.ParseDuration(f.since)
	if err != nil {
		return filter, usageError(fmt.Errorf("--since %q is neither a time such as 2026-11-24T09:00:00Z nor an age such as 2h or 7d", f.since))
	}
	filter.Since = now.Add(-age)
	return filter, nil
}

func (c *cli) listCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List mails in the store, the newest first",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.list(cmd, &f) },
	}
	cmd.Flags().StringVar(&f.state, "state", "", fmt.Sprintf("only mails in this state: %s", stateNames()))
	f.add(cmd)
	return cmd
}

func stateNames() string {
	names := make([]string, len(spool.States))
	for i, s := range spool.States {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

func (c *cli) list(cmd *cobra.Command, f *listFlags) error {
	filter, err := f.filter(time.Now())
	if err != nil {
		return err
	}
	if err := f.output.check(); err != nil {
		return err
	}
	return c.operate(cmd, true, func(ctx context.Context, _ *setup, op admin.Operator) error {
		p, err := op.List(ctx, filter)
		if err != nil {
			return err
		}
		return f.output.write(c.out, p, func() { printPage(c.out, p) })
	})
}

func printPage(w io.Writer, p spool.Page) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTAKEN\tMAILBOX\tUID\tSIZE\tSTATE\tDELIVERIES")
	for _, m := range p.Mails {
		var deliveries []string
		for _, d := range m.Deliveries {
			what := d.Sink
			if d.Errand != nil {
				what += " " + d.Errand.Verb
			}
			deliveries = append(deliveries, fmt.Sprintf("%s %s", what, d.State))
		}
		if m.Reason != "" {
			deliveries = append(deliveries, m.Reason)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n", m.ID, m.TakenAt.Local().Format(time.DateTime), m.Mailbox, dial.Printable(m.UID), m.Size,
			m.State, dial.Printable(strings.Join(deliveries, ", ")))
	}
	t.Flush()
	if p.Next != "" {
		fmt.Fprintf(w, "there are more: --after %s\n", p.Next)
	}
}

func (c *cli) showCommand() *cobra.Command {
	var output outputFlag
	var raw bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one mail with every delivery and attempt",
		Long: `Show takes the number of a mail (from list) or the id of a delivery (msg_…).
With --raw it writes the mail itself, octet for octet.`,
		Args: oneTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, _ := spool.ParseTarget(args[0])
			if err := output.check(); err != nil {
				return err
			}
			return c.operate(cmd, true, func(ctx context.Context, _ *setup, op admin.Operator) error {
				m, err := op.Show(ctx, t)
				if err != nil {
					return notThere(err)
				}
				if raw {
					return c.writeOctets(ctx, op, m.ID)
				}
				return output.write(c.out, m, func() { printMail(c.out, m) })
			})
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "write the mail itself")
	output.add(cmd)
	storeFlags(cmd.Flags())
	return cmd
}

// oneTarget wants the name of one mail or delivery.
func oneTarget(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError(fmt.Errorf("%s needs one ID: the number of a mail, or msg_… of a delivery", cmd.Name()))
	}
	return someTargets(cmd, args)
}

// someTargets wants names of mails or deliveries.
func someTargets(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(fmt.Errorf("%s needs an ID: the number of a mail, or msg_… of a delivery", cmd.Name()))
	}
	for _, arg := range args {
		if _, err := spool.ParseTarget(arg); err != nil {
			return usageError(err)
		}
	}
	return nil
}

func targets(args []string) []spool.Target {
	var all []spool.Target
	for _, arg := range args {
		if t, err := spool.ParseTarget(arg); err == nil {
			all = append(all, t)
		}
	}
	return all
}

// notThere gives errors about what is not in the store their exit code.
func notThere(err error) error {
	if errors.Is(err, spool.ErrUnknown) || errors.Is(err, spool.ErrErased) {
		return &exitError{code: exitData, err: err}
	}
	return err
}

func (c *cli) writeOctets(ctx context.Context, op admin.Operator, id spool.ID) error {
	o, err := op.Octets(ctx, id)
	if err != nil {
		return notThere(err)
	}
	defer o.Close()
	_, err = io.Copy(c.out, o.Reader())
	return err
}

func printMail(w io.Writer, m *spool.Mail) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(t, "%s\t%s\n", name, dial.Printable(fmt.Sprint(value))) }
	row("mail", m.ID)
	row("state", m.State)
	if m.Reason != "" {
		row("reason", m.Reason)
	}
	if m.Protocol == spool.LocalProtocol {
		row("sent as", "<"+m.UID+">")
	} else {
		row("mailbox", fmt.Sprintf("%s (%s), %s, UID %s", m.Mailbox, m.Account, m.Box, m.UID))
	}
	row("taken", m.TakenAt.Local().Format(time.DateTime))
	if m.ReceivedAt != nil {
		row("received", m.ReceivedAt.Local().Format(time.DateTime))
	}
	size := fmt.Sprintf("%d octets, sha256 %s", m.Size, m.SHA256)
	if m.Erased {
		size += ", erased"
	}
	row("size", size)
	for _, o := range m.Settlements {
		text := fmt.Sprintf("%s, due %s", o.Action, o.Due.Local().Format(time.DateTime))
		if o.Declined > 0 {
			text += fmt.Sprintf(", declined %d times by the server", o.Declined)
		}
		row("to settle", text)
	}
	t.Flush()
	for _, d := range m.Deliveries {
		printDelivery(w, d)
	}
}

func printDelivery(w io.Writer, d spool.DeliveryInfo) {
	fmt.Fprintf(w, "\n%s to %s", d.ID, d.Sink)
	switch e := d.Errand; {
	case e != nil && e.Parent != "":
		fmt.Fprintf(w, ", %s that %s asked for", e.Verb, e.Parent)
	case e != nil:
		fmt.Fprintf(w, ", %s", e.Verb)
	case d.Part != "":
		fmt.Fprintf(w, ", part %s", dial.Printable(d.Part))
	}
	fmt.Fprintf(w, ": %s", d.State)
	if d.Due != nil {
		fmt.Fprintf(w, ", due %s", d.Due.Local().Format(time.DateTime))
	}
	if d.Behind != 0 {
		fmt.Fprintf(w, ", waits for mail %d, which came before it", d.Behind)
	}
	if d.Held != "" {
		fmt.Fprintf(w, ", the sink is held: %s", dial.Printable(d.Held))
	}
	fmt.Fprintln(w)
	if d.Errand != nil && len(d.Errand.Content) > 0 {
		fmt.Fprintf(w, "  says %s\n", shortened(string(d.Errand.Content)))
	}
	for _, a := range d.Attempts {
		fmt.Fprintf(w, "  attempt %d  %s  %s  %s", a.Number, a.At.Local().Format(time.DateTime), a.Duration.Round(time.Millisecond), a.State)
		for _, said := range []string{a.Detail, a.Error, a.Answer} {
			if said != "" {
				fmt.Fprintf(w, "  %s", dial.Printable(said))
			}
		}
		fmt.Fprintln(w)
	}
}

// shortened is the beginning of a text, fit for a line.
func shortened(s string) string {
	const most = 500
	if len(s) > most {
		s = s[:most] + "…"
	}
	return dial.Printable(s)
}
