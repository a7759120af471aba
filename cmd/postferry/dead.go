package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/spool"
)

// changed is the answer of commands that change mails, as JSON.
type changed struct {
	Deliveries int        `json:"deliveries"`      // or mails, for forget
	Mails      []spool.ID `json:"mails,omitempty"` // erased by an address
	Error      string     `json:"error"`           // what could not be done
}

func (c *cli) deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look at the dead letters, try them again or give them up",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := listFlags{state: string(spool.Dead)}
	list := &cobra.Command{
		Use:   "list",
		Short: "List mails with a dead delivery, the newest first",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.list(cmd, &f) },
	}
	f.add(list)
	cmd.AddCommand(list, c.showCommand(),
		c.changeCommand("retry ID...", "Make dead deliveries due again, with the ids they have",
			`Retry makes the dead deliveries of a mail (its number), or one delivery (msg_…),
due now. Their schedule begins anew and the ids stay the same. With --all every
dead delivery is tried again.`, "tried again", spool.Dead, admin.Operator.Retry),
		c.changeCommand("drop ID...", "Give dead deliveries up for good",
			`Drop removes dead deliveries and their attempts. The mail stays on its server
as it is. With --all every dead delivery is dropped.`, "dropped", spool.Dead, admin.Operator.Drop))
	return cmd
}

// changeCommand is a command that does one thing to deliveries. all, if not "",
// is the state of those that --all means.
func (c *cli) changeCommand(use, short, long, done string, all spool.State, do func(admin.Operator, context.Context, ...spool.Target) (int, error)) *cobra.Command {
	var output outputFlag
	var every bool
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: func(cmd *cobra.Command, args []string) error {
			if every && len(args) == 0 {
				return output.check()
			}
			if every {
				return usageError(errors.New("--all and an ID exclude each other"))
			}
			if err := someTargets(cmd, args); err != nil {
				return err
			}
			return output.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, false, func(ctx context.Context, _ *setup, op admin.Operator) error {
				p := newProgress(c, 0)
				defer p.end()
				n, err := 0, error(nil)
				if every {
					n, err = changeAll(ctx, op, all, p, do)
				} else {
					n, err = do(op, ctx, targets(args)...)
				}
				p.clear()
				return c.sayChanged(&output, n, nil, count(n, "delivery", "deliveries")+" "+done, err)
			})
		},
	}
	if all != "" {
		cmd.Flags().BoolVar(&every, "all", false, "all dead deliveries")
	}
	output.add(cmd)
	storeFlags(cmd.Flags())
	return cmd
}

// changeAll does it to every mail in the state, a page at a time.
func changeAll(ctx context.Context, op admin.Operator, state spool.State, p *progress, do func(admin.Operator, context.Context, ...spool.Target) (int, error)) (int, error) {
	n := 0
	for cursor := ""; ; {
		page, err := op.List(ctx, spool.Filter{State: state, Limit: 500, Cursor: cursor})
		if err != nil {
			return n, err
		}
		var some []spool.Target
		for _, m := range page.Mails {
			some = append(some, spool.Target{Item: m.ID})
		}
		if len(some) > 0 {
			done, err := do(op, ctx, some...)
			n += done
			if err != nil {
				return n, err
			}
		}
		for range some {
			p.step()
		}
		if cursor = page.Next; cursor == "" {
			return n, nil
		}
	}
}

// sayChanged tells what was done, and exits with 65 if some of it could not be.
func (c *cli) sayChanged(output *outputFlag, n int, items []spool.ID, done string, err error) error {
	r := changed{Deliveries: n, Mails: items}
	if err != nil {
		r.Error = err.Error()
	}
	if said := output.write(c.out, r, func() { fmt.Fprintln(c.out, done) }); said != nil {
		return said
	}
	return notThere(err)
}

func (c *cli) forgetCommand() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "forget ID|ADDRESS...",
		Short: "Erase stored mail: by its number, or all from and to an address",
		Long: `Forget erases mails from the store: their octets and all that was derived from
them. Deliveries that were open do not happen. The mails are not taken again;
on their server nothing changes.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("forget needs the number of a mail, or an address"))
			}
			return output.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, false, func(ctx context.Context, _ *setup, op admin.Operator) error {
				n, items, err := forget(ctx, op, args)
				return c.sayChanged(&output, n, items, count(n, "mail", "mails")+" erased", err)
			})
		},
	}
	output.add(cmd)
	storeFlags(cmd.Flags())
	return cmd
}

func forget(ctx context.Context, op admin.Operator, args []string) (int, []spool.ID, error) {
	n := 0
	var items []spool.ID
	for _, arg := range args {
		t, err := spool.ParseTarget(arg)
		switch {
		case err == nil && t.Item > 0:
			done, err := op.Forget(ctx, t.Item)
			if n += done; err == nil && done == 0 {
				err = fmt.Errorf("forget mail %d: %w", t.Item, spool.ErrUnknown)
			}
			if err != nil {
				return n, items, err
			}
		case err == nil:
			m, err := op.Show(ctx, t)
			if err != nil {
				return n, items, err
			}
			done, err := op.Forget(ctx, m.ID)
			if n += done; err != nil {
				return n, items, err
			}
		default:
			erased, err := op.ForgetAddress(ctx, arg)
			n, items = n+len(erased), append(items, erased...)
			if err != nil {
				return n, items, err
			}
		}
	}
	return n, items, nil
}
