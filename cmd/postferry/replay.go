package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/webhook"
	"github.com/postferry/postferry/spool"
)

func (c *cli) replayCommand() *cobra.Command {
	var to string
	cmd := c.changeCommand("replay ID...", "Deliver mails again, with the ids they had",
		`Replay makes delivered deliveries due again: all of a mail (its number), or one
(msg_…). A reply or forwarded mail that a webhook's answer asked for is sent again
only by its own id. A mail that is unrouted or quarantined is routed again. Receivers see
the webhook-id they saw before. What was done to the mail on its server is not
done twice.

With --to they go to another URL instead, at once and by this command: the same
body under the same id, signed with the sink's secret where it is a webhook. The
sink's own headers and credentials are not sent there, and nothing is recorded.`,
		"made due again", "", admin.Operator.Replay)
	again := cmd.RunE
	cmd.Flags().StringVar(&to, "to", "", "send to this `URL` instead")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("to") {
			return again(cmd, args)
		}
		if u, err := url.Parse(to); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return usageError(errors.New("--to must be https://host/path or http://host/path"))
		}
		return c.replayTo(cmd, to, targets(args))
	}
	return cmd
}

// replayTo sends deliveries to a URL.
func (c *cli) replayTo(cmd *cobra.Command, to string, all []spool.Target) error {
	log, err := c.logger()
	if err != nil {
		return err
	}
	return c.operate(cmd, true, func(ctx context.Context, s *setup, op admin.Operator) error {
		var errs []error
		sent := 0
		for _, t := range all {
			m, err := op.Show(ctx, t)
			if err != nil {
				errs = append(errs, notThere(err))
				continue
			}
			octets, err := op.Octets(ctx, m.ID)
			if err != nil {
				errs = append(errs, notThere(err))
				continue
			}
			for _, d := range m.Deliveries {
				if t.Delivery != "" && t.Delivery != d.ID || t.Delivery == "" && d.Errand != nil {
					continue
				}
				if d.Errand != nil {
					errs = append(errs, &exitError{code: exitData, err: fmt.Errorf("sending %s: it is a mail for an SMTP server (%s), not a body for a URL: replay it without --to", d.ID, d.Errand.Verb)})
					continue
				}
				if err := s.sendTo(ctx, to, m, d, octets, log); err != nil {
					errs = append(errs, &exitError{code: exitTemporary, err: fmt.Errorf("sending %s: %w", d.ID, err)})
					continue
				}
				sent++
			}
			octets.Close()
		}
		err := errors.Join(errs...)
		r := changed{Deliveries: sent}
		if err != nil {
			r.Error = err.Error()
		}
		output := outputFlag{format: cmd.Flags().Lookup("output").Value.String()}
		said := output.write(c.out, r, func() {
			fmt.Fprintf(c.out, "%s sent to %s\n", count(sent, "delivery", "deliveries"), hostOf(to))
		})
		return errors.Join(said, err)
	})
}

// hostOf is the part of a URL that is no secret.
func hostOf(to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return "the URL"
	}
	return u.Scheme + "://" + u.Host
}

// sendTo makes one delivery again and posts it.
func (s *setup) sendTo(ctx context.Context, to string, m *spool.Mail, d spool.DeliveryInfo, octets *spool.Octets, log *slog.Logger) error {
	o := webhook.Options{}
	o.SetDefaults()
	renderer := payload.Renderer{}
	if i := slices.IndexFunc(s.sinks, func(k sinkSetup) bool { return k.Name == d.Sink }); i >= 0 {
		k := s.sinks[i]
		renderer = k.renderer
		if k.Type == "webhook" {
			var own webhook.Options
			if err := k.Section.Decode(&own); err != nil {
				return err
			}
			o.Secret, o.Secrets, o.Method, o.Timeout = own.Secret, own.Secrets, own.Method, own.Timeout
			o.TLS = config.TLS{CAFile: own.TLS.CAFile, MinVersion: own.TLS.MinVersion}
		}
	}
	o.URL = to
	sink, err := webhook.New(d.Sink, o, renderer, sinks.Env{Version: thisBuild().Version})
	if err != nil {
		return err
	}
	defer sink.Close()
	item := &spool.Item{
		ID: m.ID, Mailbox: m.Mailbox, Protocol: m.Protocol, BoxKey: spool.BoxKey{Account: m.Account, Box: m.Box}, UID: m.TakenUID,
		TakenAt: m.TakenAt, Flags: m.Flags, Ordinal: m.Ordinal, Octets: octets, Facts: m.Facts,
	}
	if m.ReceivedAt != nil {
		item.ReceivedAt = *m.ReceivedAt
	}
	if sum, err := hex.DecodeString(m.SHA256); err == nil {
		copy(item.SHA256[:], sum)
	}
	trusted := map[string][]string{}
	for _, b := range s.mailboxes {
		trusted[b.Name] = b.AuthservIDs
	}
	delivery, err := sinks.New(nil, nil, nil, sinks.Options{Trusted: trusted}).Again(item, d.ID, d.Part, d.Tries+1)
	if err != nil {
		return err
	}
	receipt, err := sink.Deliver(ctx, delivery)
	if err != nil {
		return err
	}
	log.Info("delivery sent again", "item", m.ID, "sink", d.Sink, "delivery", d.ID, "to", hostOf(to), "detail", receipt.Detail)
	return nil
}
