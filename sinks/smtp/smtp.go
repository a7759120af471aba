// Package smtp delivers mail by SMTP: an answer to it, the mail passed on, or a
// new one about it. What is sent is made by sinks/smtp/compose, how it gets to the
// server is sinks/smtp/submit; this package joins the two and says what a delivery
// came to.
//
// A delivery is acknowledged when the server has accepted the mail for every
// recipient (250 to the end of the data). Where it accepted some, they are kept
// with the failed attempt (sinks.AttemptError.Progress), so that the next one goes
// to the others alone. All attempts send the same mail: the same Message-ID, the
// same octets. So a mail whose acceptance nobody heard of may come twice, and is
// known as the same one.
package smtp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/smtp/compose"
	"github.com/postferry/postferry/sinks/smtp/submit"
	"github.com/postferry/postferry/spool"
)

// Sink sends mails by one server. It implements sinks.Sink, Previewer and Checker.
type Sink struct {
	options  Options
	server   dial.Server
	composer *compose.Composer
	client   *submit.Client
}

// New makes the sink of that name. It connects to nothing.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	e = e.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	s := &Sink{options: o}
	var err error
	if s.server, err = o.server(); err != nil {
		return nil, err
	}
	if s.composer, err = compose.New(name, o.Options, e.Own); err != nil {
		return nil, err
	}
	if s.client, err = o.client(e); err != nil {
		return nil, err
	}
	return s, nil
}

// noBody refuses what a sink may choose for the body of an event, of which a mail has
// nothing.
func noBody(r payload.Renderer) error {
	at := func(key, instead string) error {
		return config.At(key, errors.New("has no meaning with type: smtp, which sends mail: remove it; "+instead))
	}
	switch {
	case r.Format != nil && r.Format.Name() != "native":
		return at("format", "action, text and html say what is sent")
	case r.Options.Attachments != "" && r.Options.Attachments != payload.Auto:
		return at("attachments", "attach says what goes along: none, all, original")
	case r.Options.Only != nil:
		return at("attachments_only", "attach says what goes along: none, all, original")
	}
	return nil
}

// Recipients are the addresses the sink sends to whatever a mail says, so that a
// configuration that feeds a mailbox into itself can be refused.
func (s *Sink) Recipients() []string { return s.composer.Recipients() }

// Complete tells whether the sink can send something for a mail that is routed to
// it from the mailbox of that address, and not only what an answer asks for.
func (s *Sink) Complete(mailbox string) error { return s.options.Complete(mailbox) }

// Longest is how long a delivery may take that goes on (RFC 5321 section 4.5.3.2).
func (s *Sink) Longest() time.Duration { return submit.Longest }

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if err := s.options.Complete(d.Origin.Address); err != nil {
		return sinks.Receipt{}, sinks.SinkFault(err)
	}
	return s.deliver(ctx, d, nil)
}

// deliver composes a mail, and sends it.
func (s *Sink) deliver(ctx context.Context, d *sinks.Delivery, w *compose.Wish) (sinks.Receipt, error) {
	m, err := s.composer.Compose(ctx, d, w)
	if held, ok := errors.AsType[*compose.Withheld](err); ok {
		return sinks.Receipt{Detail: held.Error()}, nil
	}
	if err != nil {
		return sinks.Receipt{}, err
	}
	return s.send(ctx, d, m.To, m.Submit)
}

// send gives a mail to those recipients that do not have it yet.
func (s *Sink) send(ctx context.Context, d *sinks.Delivery, to []string, make submit.Maker) (sinks.Receipt, error) {
	have := accepted(d.Progress)
	left := slices.DeleteFunc(slices.Clone(to), func(a string) bool { return slices.Contains(have, a) })
	if len(left) == 0 {
		return sinks.Receipt{Detail: "all recipients had accepted it before"}, nil
	}
	r, err := s.client.Send(ctx, func(o submit.Offers) (*submit.Mail, error) {
		m, err := make(o)
		switch {
		case errors.Is(err, compose.ErrEightBit), errors.Is(err, compose.ErrUTF8):
			return nil, sinks.Permanent(err)
		case err != nil:
			return nil, fmt.Errorf("composing the mail: %w", err)
		}
		m.To = left
		return m, nil
	})
	if err != nil {
		return sinks.Receipt{}, failure(err, have, &r)
	}
	return sinks.Receipt{Detail: r.Reply.String()}, nil
}

// failure grades what ended a Send, and keeps who has the mail nevertheless.
func failure(err error, have []string, r *submit.Report) error {
	failed, ok := errors.AsType[*submit.Error](err)
	if !ok {
		return err
	}
	a := &sinks.AttemptError{Answer: answers(r), Progress: progress(append(have, r.Accepted...))}
	if failed.Reply.Code != 0 {
		a.Detail = strings.TrimSpace(fmt.Sprint(failed.Reply.Code, " ", failed.Reply.Enhanced))
	}
	v := submit.Grade(err)
	text := err
	if v.Do != "nothing" {
		text = fmt.Errorf("%w — %s: %s", err, v.Means, v.Do)
	}
	if n := len(have) + len(r.Accepted); n > 0 {
		text = fmt.Errorf("%w (%d other recipients have it, and do not get it again)", text, n)
	}
	a.Err = text
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return a
	}
	switch v.Blame {
	case submit.Account:
		return sinks.SinkFault(a)
	case submit.Recipient:
		return sinks.Permanent(a)
	}
	return a
}

// answers are the server's words for each recipient it refused.
func answers(r *submit.Report) string {
	lines := make([]string, len(r.Refused))
	for i, f := range r.Refused {
		lines[i] = "<" + dial.Printable(f.To) + "> " + f.Err.Reply.String()
	}
	return strings.Join(lines, "\n")
}

// progress is what accepted reads: a list of addresses. Where it would be too
// long, the last ones are left out, and get the mail once more.
func progress(have []string) string {
	for len(have) > 0 {
		b, err := json.Marshal(have)
		if err == nil && len(b) <= spool.MaxProgress {
			return string(b)
		}
		have = have[:len(have)-1-len(have)/10]
	}
	return ""
}

// accepted are the recipients that earlier attempts left word of.
func accepted(progress string) (have []string) {
	if json.Unmarshal([]byte(progress), &have) != nil { // only what progress wrote is there
		return nil
	}
	return have
}

// Close implements sinks.Sink.
func (s *Sink) Close() error { return s.client.Close() }

// Format implements fmt.Formatter: under every verb a Sink is what it does and
// where, so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "smtp %s by %s", s.options.Action, s.server)
}

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
	_ sinks.Errander  = (*Sink)(nil)
)
