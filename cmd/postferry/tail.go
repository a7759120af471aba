package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

func (c *cli) tailCommand() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow what the running service does",
		Long: `Tail prints one line for each mail that is routed, each attempt to deliver one,
and each mailbox that fails, loses its connection or recovers, from now on, until
it is interrupted or the service stops.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			s, err := c.load(cmd.Flags(), true)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(c.out)
			enc.SetEscapeHTML(false)
			err = admin.Follow(cmd.Context(), admin.SocketPath(s.Store.Path), func(e admin.Event) error {
				if output.format == "json" {
					return enc.Encode(e)
				}
				_, err := fmt.Fprintln(c.out, eventLine(e))
				return err
			})
			switch {
			case errors.Is(err, admin.ErrNotRunning):
				return &exitError{code: exitUnavailable, err: fmt.Errorf("%w (%s); start it with `postferry run`", err, s.Store.Path)}
			case cmd.Context().Err() != nil:
				return nil
			}
			return err
		},
	}
	output.add(cmd)
	storeFlags(cmd.Flags())
	return cmd
}

// eventLine shows an event to people.
func eventLine(e admin.Event) string {
	at := e.At.Local().Format(time.DateTime)
	if e.What == "missed" {
		return fmt.Sprintf("%s  missed %d events", at, e.Count)
	}
	line := fmt.Sprintf("%s  %-11s %s", at, e.What, e.Mailbox)
	if e.Item != 0 {
		line += fmt.Sprintf("/%d", e.Item)
	}
	if e.Sink != "" {
		line += fmt.Sprintf(" to %s, attempt %d", e.Sink, e.Attempt)
	}
	if len(e.Sinks) > 0 {
		line += fmt.Sprintf(" to %v", e.Sinks)
	}
	if e.Detail != "" {
		line += ": " + dial.Printable(e.Detail)
	}
	if e.Error != "" {
		line += ": " + dial.Printable(e.Error)
	}
	if e.Next != nil {
		line += ", next " + e.Next.Local().Format(time.DateTime)
	}
	return line
}

// liveEvent is what `tail` shows of a dispatcher's event.
func liveEvent(e sinks.Event, now time.Time) admin.Event {
	live := admin.Event{At: now.UTC(), Item: int64(e.Item), Mailbox: e.Mailbox}
	if r := e.Routing; r != nil {
		switch {
		case r.Quarantine != "":
			live.What, live.Error = "quarantined", r.Quarantine
		case len(r.To) == 0:
			live.What = "unrouted"
		default:
			live.What = "routed"
			for _, to := range r.To {
				live.Sinks = append(live.Sinks, to.Sink)
			}
		}
		return live
	}
	live.What, live.Sink, live.Delivery, live.Attempt = string(e.Outcome.State), e.Sink, e.Delivery, e.Number
	live.Detail, live.Error = e.Outcome.Attempt.Detail, e.Outcome.Attempt.Error
	if e.Outcome.State == spool.Deferred {
		live.Next = &e.Outcome.Next
	}
	return live
}

// mailboxEvent is what `tail` shows of a fetcher's event.
func mailboxEvent(e fetcher.Event) admin.Event {
	live := admin.Event{At: e.At.UTC(), What: string(e.What), Mailbox: e.Mailbox}
	if e.Err != nil {
		next := e.Next.UTC()
		live.Error, live.Next = e.Err.Error(), &next
	}
	return live
}
