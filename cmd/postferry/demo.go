package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/internal/demo"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/parser"
)

// demoFlags are the flags of demo.
type demoFlags struct {
	once  bool
	ports demo.Options
}

func (c *cli) demoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: mail servers, a webhook receiver and postferry in one process",
		Long: `Demo needs no account and no configuration. It starts an IMAP, a POP3 and an
SMTP server and a webhook receiver on 127.0.0.1 inside this process, and runs
postferry between them: the few mails in the mailboxes arrive at the receiver,
which checks their signatures and prints each event. Who wrote to support gets
an automatic acknowledgement, and who wrote again a reply, for which the
receiver's answer asks: mails that postferry sends are shown on standard error,
and go no further. Then it waits: any mail sent to its SMTP port arrives as
JSON.

With --once it exits when the samples are delivered. It leaves nothing behind.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demo(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.once, "once", false, "exit when the samples are delivered")
	flags.IntVar(&f.ports.SMTPPort, "smtp-port", 0, "port of the SMTP server; 0: any free one")
	flags.IntVar(&f.ports.IMAPPort, "imap-port", 0, "port of the IMAP server (TLS); 0: any free one")
	flags.IntVar(&f.ports.POP3Port, "pop3-port", 0, "port of the POP3 server (TLS); 0: any free one")
	return cmd
}

func (c *cli) demo(ctx context.Context, f demoFlags) (err error) {
	log, err := c.logger()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "postferry-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo's store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var received atomic.Int64
	o := f.ports
	o.Log = log
	o.Receive = func(e demo.Event) error {
		if e.Forged != nil {
			return nil // the receiver refuses it
		}
		received.Add(1)
		return c.printEvent(e.Body)
	}
	o.Answer = demoAnswer
	var sent atomic.Int64
	o.Sent = func(raw []byte) error {
		sent.Add(1)
		return c.printSent(raw)
	}
	world, err := demo.Start(ctx, o)
	if err != nil {
		return &exitError{code: exitUnavailable, err: err}
	}
	defer world.Close()
	v, err := c.demoService(ctx, dir, world, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if f.once {
		if err := v.once(ctx, time.Minute); err != nil {
			return err
		}
		if got := int(received.Load()); got < demo.Samples() {
			return fmt.Errorf("only %d of %d sample mails arrived", got, demo.Samples())
		}
		if sent.Load() == 0 {
			return errors.New("no mail was answered")
		}
		return nil
	}
	fmt.Fprintf(c.err, "\nSend a mail and watch it arrive:  swaks --server %s --to you@example.com\nEnd with Ctrl-C.\n\n", world.SMTP)
	return v.run(ctx, nil)
}

// demoAnswer is what the application says to an event: where somebody has written
// again, it asks for a reply.
func demoAnswer(e demo.Event) []byte {
	var event struct {
		Data struct {
			Message struct {
				InReplyTo []string
				Automated struct{ Is bool }
			}
		}
	}
	if err := json.Unmarshal(e.Body, &event); err != nil || len(event.Data.Message.InReplyTo) == 0 || event.Data.Message.Automated.Is {
		return nil
	}
	return []byte(`{"reply": {"text": "It left us this morning, and is with you tomorrow.\n\nYour support\n"}}`)
}

// printSent prints what matters of a mail that was sent.
func (c *cli) printSent(raw []byte) error {
	m, err := parser.Parse(bytes.NewReader(raw), int64(len(raw)), parser.Limits{})
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\npostferry sent a mail:\n")
	for _, name := range []string{"From", "To", "Subject", "In-Reply-To", "Auto-Submitted"} {
		for _, h := range m.Headers {
			if strings.EqualFold(h.Name, name) {
				fmt.Fprintf(&b, "  %s: %s\n", name, dial.Printable(h.Value))
			}
		}
	}
	if m.Text != nil {
		for line := range strings.Lines(*m.Text) {
			fmt.Fprintf(&b, "  | %s\n", dial.Printable(strings.TrimRight(line, "\r\n")))
		}
	}
	_, err = fmt.Fprintln(c.err, b.String())
	return err
}

// printEvent prints one event: as it came in a pipe, indented on a terminal.
func (c *cli) printEvent(body []byte) error {
	line := bytes.NewBuffer(make([]byte, 0, len(body)+1))
	if !isTerminal(c.out) || json.Indent(line, body, "", "  ") != nil {
		line.Reset()
		line.Write(body)
	}
	line.WriteByte('\n')
	_, err := c.out.Write(line.Bytes())
	return err
}

// demoConfig is the configuration of the demo, as a user would write it.
const demoConfig = `version: 1
store: sqlite:demo.db
listen: ""
defaults: {schedule: "@every 10s", backfill: all, tls: {ca_file: ca.pem}, deliver: [receiver]}
mailboxes:
  support: {server: "imaps://%s", username: "%s", password: "${DEMO_IMAP_PASSWORD}", after: seen, deliver: [receiver, thanks]}
  billing: {server: "pop3s://%s", username: "%s", password: "${DEMO_POP3_PASSWORD}", after: delete}
sinks:
  receiver: {type: webhook, url: "%s", secret: "${DEMO_HOOK_SECRET}", directives: {reply: desk}}
  thanks: {type: smtp, server: "smtps://%s", username: "%s", password: "${DEMO_SMTP_PASSWORD}", tls: {ca_file: ca.pem}, from: Support <support@example.com>, action: acknowledge, text: "Thank you, {{ message.from[0].name ?? \"\" }}. We have your mail, and a person will read it.\n"}
  desk: {type: smtp, server: "smtps://%s", username: "%s", password: "${DEMO_SMTP_PASSWORD}", tls: {ca_file: ca.pem}, from: Support <support@example.com>, action: reply}
`

// demoService is the ordinary service, on a configuration of its own.
func (c *cli) demoService(ctx context.Context, dir string, w *demo.World, log *slog.Logger) (*service, error) {
	text := fmt.Sprintf(demoConfig, w.IMAP.Address, w.IMAP.User, w.POP3.Address, w.POP3.User, w.HookURL,
		w.Outgoing.Address, w.Outgoing.User, w.Outgoing.Address, w.Outgoing.User)
	file := filepath.Join(dir, "postferry.yaml")
	err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "ca.pem"), w.CAPEM, 0o600))
	if err != nil {
		return nil, fmt.Errorf("writing the demo's configuration: %w", err)
	}
	own := &cli{in: c.in, out: c.out, err: c.err, configs: []string{file}, env: []string{
		"DEMO_SMTP_PASSWORD=" + w.Outgoing.Password, "DEMO_IMAP_PASSWORD=" + w.IMAP.Password, "DEMO_POP3_PASSWORD=" + w.POP3.Password, "DEMO_HOOK_SECRET=" + w.HookSecret.Reveal(),
	}}
	s, err := own.load(nil, false)
	if err != nil {
		return nil, err
	}
	sp, _, err := openStore(ctx, s, log)
	if err != nil {
		return nil, err
	}
	v, err := newService(s, sp, log, serviceOptions{})
	if err != nil {
		return nil, errors.Join(err, sp.Close())
	}
	return v, nil
}
