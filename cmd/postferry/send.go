package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/smtp/compose"
	"github.com/postferry/postferry/spool"
)

// mostSent is how many octets the files of a mail may have in all: what most
// servers take, before it is encoded.
const mostSent = 32 << 20

type sendFlags struct {
	output                         outputFlag
	from, subject, html, sink      string
	to, cc, bcc, replyTo, attached []string
	wait                           time.Duration
}

func (c *cli) sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send --from ADDRESS --to ADDRESS... --subject TEXT [FILE]",
		Short: "Compose a mail and send it through an smtp sink",
		Long: `Send makes a mail of FILE, which is plain text in UTF-8, or of standard input
where FILE is - or there is none, and gives it to a sink of type smtp. The mail
is made durable first, and tried again like any other: list, show, dead and
replay know it, under the mailbox (local). Where a service runs on the store it
sends the mail; else this command does, and leaves what could not be sent yet
to the next run.

It exits with 0 when the server has accepted the mail for everybody, 75 when
it will be tried again, 3 when it was refused.`,
		Example: `  echo "Back at nine." | postferry send --from desk@example.com --to ada@example.com --subject "Out of the house"
  postferry send --from desk@example.com --to ada@example.com --subject Report --html report.html --attach report.pdf text.txt`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(fmt.Errorf("send takes one FILE, and got %q; quote a subject that has spaces", args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.send(cmd, &f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "who sends it: `ADDRESS` or \"Name <address>\"")
	flags.StringArrayVar(&f.to, "to", nil, "who gets it: `ADDRESS` or \"Name <address>\"; may be given several times, as --cc and --bcc")
	flags.StringArrayVar(&f.cc, "cc", nil, "who gets a copy: `ADDRESS`")
	flags.StringArrayVar(&f.bcc, "bcc", nil, "who gets a copy without being named: `ADDRESS`")
	flags.StringArrayVar(&f.replyTo, "reply-to", nil, "where answers go, if not to the sender: `ADDRESS`")
	flags.StringVar(&f.subject, "subject", "", "its subject: `TEXT`")
	flags.StringVar(&f.html, "html", "", "`FILE` with the same as HTML; without FILE, the text is made of it")
	flags.StringArrayVar(&f.attached, "attach", nil, "a `FILE` to attach; may be given several times")
	flags.StringVar(&f.sink, "sink", "", "the sink of type smtp that sends it (`NAME`); needed where there are several")
	flags.DurationVar(&f.wait, "wait", 30*time.Second, "wait this long for the server's answer")
	f.output.add(cmd)
	storeFlags(flags)
	return cmd
}

// sent is what send prints as JSON.
type sent struct {
	Mail      spool.ID    `json:"mail"`
	Delivery  string      `json:"delivery"`
	MessageID string      `json:"messageId"`
	Sink      string      `json:"sink"`
	State     spool.State `json:"state"`
	Detail    string      `json:"detail"` // the server's answer, or why there is none
}

func (c *cli) send(cmd *cobra.Command, f *sendFlags, args []string) error {
	if err := f.output.check(); err != nil {
		return err
	}
	s, err := c.load(cmd.Flags(), false)
	if err != nil {
		return err
	}
	k, err := s.sender(f.sink)
	if err != nil {
		return err
	}
	m, octets, err := c.compose(f, args)
	if err != nil {
		return err
	}
	env := sinks.Envelope{From: m.From, To: m.To, UTF8: m.UTF8}
	e, err := env.Errand(k.Name)
	if err != nil {
		return err
	}
	ctx, socket := cmd.Context(), admin.SocketPath(s.Store.Path)
	give := func(op admin.Operator, settle func(ctx context.Context, id spool.ID) error) error {
		id, err := op.Send(ctx, m.MessageID, bytes.NewReader(octets), e)
		if errors.Is(err, spool.ErrFull) {
			return &exitError{code: exitTemporary, err: err}
		}
		if err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, f.wait)
		defer cancel()
		if err := settle(waiting, id); err != nil && waiting.Err() == nil {
			return err
		}
		return c.saySent(ctx, op, f, id, m.MessageID)
	}
	_, err = admin.AskStatus(ctx, socket)
	if err == nil {
		op := admin.Remote{Path: socket}
		return give(op, func(ctx context.Context, id spool.ID) error { return ended(ctx, op, id) })
	}
	if !errors.Is(err, admin.ErrNotRunning) {
		return err
	}
	log, err := c.logger()
	if err != nil {
		return err
	}
	sp, fresh, err := openStore(ctx, s, log)
	if err != nil {
		return err
	}
	if fresh {
		log.Warn("the store is new", "store", s.Store.Path)
	}
	err = give(sp, func(ctx context.Context, id spool.ID) error { return giveOnce(ctx, sp, k, id) })
	return errors.Join(err, sp.Close())
}

// sender finds the smtp sink that mail is sent through.
func (s *setup) sender(name string) (sinkSetup, error) {
	var able []sinkSetup
	var names []string
	for _, k := range s.sinks {
		if k.Type != "smtp" {
			continue
		}
		if k.Name == name {
			return k, nil
		}
		able, names = append(able, k), append(names, k.Name)
	}
	switch {
	case len(able) == 0:
		return sinkSetup{}, configError(errors.New("no sink of type smtp is configured, and mail is sent through one: add it to sinks (docs/smtp.md)"))
	case name != "":
		return sinkSetup{}, usageError(fmt.Errorf("--sink %q is no sink of type smtp; there is %s", name, strings.Join(names, ", ")))
	case len(able) > 1:
		return sinkSetup{}, usageError(fmt.Errorf("there are several sinks of type smtp: choose one with --sink %s", strings.Join(names, ", --sink ")))
	}
	return able[0], nil
}

// compose makes the mail, as every server takes it.
func (c *cli) compose(f *sendFlags, args []string) (*compose.Mail, []byte, error) {
	l := &compose.Letter{ID: strings.ToLower(rand.Text()), Date: time.Now(), Subject: f.subject}
	if f.from == "" {
		return nil, nil, usageError(errors.New("send needs --from: the address the mail is from"))
	}
	if len(f.to)+len(f.cc)+len(f.bcc) == 0 {
		return nil, nil, usageError(errors.New("send needs --to, --cc or --bcc: who gets the mail"))
	}
	if !utf8.ValidString(f.subject) {
		return nil, nil, usageError(errors.New("--subject is not UTF-8"))
	}
	for flag, list := range map[string]struct {
		given []string
		into  *[]parser.Address
	}{"to": {f.to, &l.To}, "cc": {f.cc, &l.CC}, "bcc": {f.bcc, &l.BCC}, "reply-to": {f.replyTo, &l.ReplyTo}, "from": {[]string{f.from}, nil}} {
		for _, text := range list.given {
			read, err := compose.ParseAddresses(text)
			if err == nil && flag == "from" && len(read) != 1 {
				err = errors.New("a mail is from one address")
			}
			if err != nil {
				return nil, nil, usageError(fmt.Errorf("--%s: %w", flag, err))
			}
			if flag == "from" {
				l.From = read[0]
			} else {
				*list.into = append(*list.into, read...)
			}
		}
	}
	if err := c.content(l, f, args); err != nil {
		return nil, nil, &exitError{code: exitData, err: err}
	}
	m, err := l.Mail()
	if err != nil {
		return nil, nil, usageError(err)
	}
	var octets bytes.Buffer
	if err := m.WriteTo(&octets, compose.Offers{UTF8: m.UTF8}); err != nil {
		return nil, nil, err
	}
	return m, octets.Bytes(), nil
}

// content reads what the mail says and what goes along.
func (c *cli) content(l *compose.Letter, f *sendFlags, args []string) error {
	left := int64(mostSent)
	read := func(name string) ([]byte, error) {
		from := c.in
		if name != "-" {
			file, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			from = file
		}
		b, err := io.ReadAll(io.LimitReader(from, left+1))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		if left -= int64(len(b)); left < 0 {
			return nil, fmt.Errorf("the mail has more than %d MiB with what is attached", mostSent>>20)
		}
		return b, nil
	}
	text := func(name string) (string, error) {
		b, err := read(name)
		switch {
		case err != nil:
			return "", err
		case !utf8.Valid(b):
			return "", fmt.Errorf("%s is not UTF-8: convert it first (iconv -t UTF-8)", name)
		case bytes.IndexByte(b, 0) >= 0:
			return "", fmt.Errorf("%s has NUL, so it is no text: attach it with --attach", name)
		}
		return string(b), nil
	}
	var err error
	if len(args) == 1 || f.html == "" {
		if l.Text, err = text(append(args, "-")[0]); err != nil {
			return err
		}
	}
	if f.html != "" {
		if l.HTML, err = text(f.html); err != nil {
			return err
		}
	}
	for _, name := range f.attached {
		b, err := read(name)
		if err != nil {
			return err
		}
		l.Files = append(l.Files, &compose.File{
			Name: filepath.Base(name), Type: mime.TypeByExtension(filepath.Ext(name)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil },
		})
	}
	return nil
}

// giveOnce delivers what waits for the sink until the mail is not due any more.
func giveOnce(ctx context.Context, sp *spool.Spool, k sinkSetup, id spool.ID) error {
	d, err := k.destination(false)
	if err != nil {
		return err
	}
	defer d.Sink.Close()
	giving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	over := make(chan error, 1)
	go func() {
		over <- sinks.New(sp, nil, map[string]sinks.Destination{k.Name: d}, sinks.Options{}).Give(giving)
	}()
	err = sp.Await(ctx, []spool.ID{id})
	stop()
	return errors.Join(err, <-over)
}

// ended waits until the service has tried the mail.
func ended(ctx context.Context, op admin.Operator, id spool.ID) error {
	for {
		m, err := op.Show(ctx, spool.Target{Item: id})
		if err != nil || m.State != spool.Pending {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// saySent tells what became of the mail.
func (c *cli) saySent(ctx context.Context, op admin.Operator, f *sendFlags, id spool.ID, messageID string) error {
	m, err := op.Show(ctx, spool.Target{Item: id})
	if err != nil {
		return err
	}
	d := m.Deliveries[0]
	r := sent{Mail: m.ID, Delivery: d.ID, MessageID: messageID, Sink: d.Sink, State: d.State}
	switch n := len(d.Attempts); {
	case d.Held != "":
		r.Detail = "sink " + d.Sink + " is held: " + d.Held
	case n == 0:
		r.Detail = "not tried yet"
	case d.State == spool.Delivered:
		r.Detail = d.Attempts[n-1].Detail
	default:
		r.Detail = d.Attempts[n-1].Error
	}
	said := f.output.write(c.out, r, func() {
		fmt.Fprintf(c.out, "mail %d, %s: %s; %s\n", r.Mail, r.Delivery, r.State, dial.Printable(r.Detail))
	})
	switch d.State {
	case spool.Delivered:
		return said
	case spool.Dead:
		return errors.Join(said, &exitError{code: exitDead, err: fmt.Errorf("the mail was not sent: %s; look at it with: postferry show %d", dial.Printable(r.Detail), id)})
	}
	return errors.Join(said, &exitError{code: exitTemporary, err: fmt.Errorf("the mail is stored, and is not sent yet (%s); the next run tries it again", dial.Printable(r.Detail))})
}
