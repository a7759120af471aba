package compose

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

// outcome is what becomes of a mail: "sent", or the error.
func outcome(t testing.TB, c *Composer, d *sinks.Delivery) string {
	t.Helper()
	_, err := c.Compose(context.Background(), d, nil)
	var w *Withheld
	switch {
	case err == nil:
		return "sent"
	case errors.As(err, &w):
		return "withheld: " + w.Reason
	case sinks.IsPermanent(err):
		return "dead: " + err.Error()
	case sinks.IsSinkFault(err):
		wait, _ := sinks.RetryAfterOf(err)
		return "held for " + wait.String() + ": " + err.Error()
	}
	return "failed: " + err.Error()
}

func mailFrom(from string, fields ...string) string {
	return wire("From: " + from + "\nTo: support@example.com\nSubject: hello\nMessage-ID: <1@customer.example>\n" + strings.Join(append(fields, ""), "\n") + "\nhello\n")
}

func TestNoProgramAnswersTheseMails(t *testing.T) {
	for _, c := range []struct{ name, from, field, why string }{
		{"null reverse-path", "ada@customer.example", "Return-Path: <>", "automated: auto-generated (Return-Path: <>)"},
		{"RFC 3834 auto-replied", "ada@customer.example", "Auto-Submitted: auto-replied (vacation)", "automated: auto-reply"},
		{"RFC 3834 auto-generated", "ada@customer.example", "Auto-Submitted: auto-generated", "automated: auto-generated"},
		{"any other word than no", "ada@customer.example", "Auto-Submitted: auto-notified; owner-email=\"x@y\"", "automated: auto-generated"},
		{"RFC 2919 list", "ada@customer.example", "List-Id: <dev.example.org>", "automated: list"},
		{"RFC 8058 bulk", "ada@customer.example", "List-Unsubscribe: <https://example.org/u>", "automated: bulk"},
		{"Precedence bulk", "ada@customer.example", "Precedence: bulk", "automated: bulk"},
		{"Precedence junk", "ada@customer.example", "Precedence: junk", "automated: bulk"},
		{"Precedence list", "ada@customer.example", "Precedence: list", "automated: list"},
		{"Precedence auto_reply", "ada@customer.example", "Precedence: auto_reply", "automated: auto-reply"},
		{"Exchange", "ada@customer.example", "X-Auto-Response-Suppress: OOF, AutoReply", "automated: auto-generated"},
		{"delivery status notification", "ada@customer.example", "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b", "automated:"},
		{"MAILER-DAEMON", "MAILER-DAEMON@customer.example", "X-A: b", "nobody reads MAILER-DAEMON@"},
		{"postmaster", "postmaster@customer.example", "X-A: b", "nobody reads"},
		{"owner of a list", "owner-dev@customer.example", "X-A: b", "nobody reads"},
		{"list's request address", "dev-request@customer.example", "X-A: b", "nobody reads"},
		{"majordomo", "majordomo@customer.example", "X-A: b", "nobody reads"},
		{"noreply", "no-reply@customer.example", "X-A: b", "nobody reads"},
		{"donotreply", "Do_Not_Reply+1@customer.example", "X-A: b", "nobody reads"},
		{"robot behind a Sender", "ada@customer.example", "Sender: dev-bounces@customer.example", "nobody reads dev-bounces@"},
		{"robot in the Return-Path", "ada@customer.example", "Return-Path: <mailer-daemon@customer.example>", "nobody reads mailer-daemon@"},
		{"own address", "support@example.com", "X-A: b", "it would go to an own address"},
		{"own address, tagged", "Support+x@EXAMPLE.com", "X-A: b", "it would go to an own address"},
		{"another mailbox of ours", "sales@example.com", "X-A: b", "it would go to an own address"},
		{"no address", "nobody", "X-A: b", "the mail has no address to answer to"},
	} {
		for _, action := range []string{Acknowledge, Reply, ReplyAll} {
			var o Options
			o.SetDefaults()
			o.Action, o.Text = action, "x"
			composer, err := New("desk", o, []string{"sales@example.com"})
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(t, composer, delivery(t, mailFrom(c.from, c.field))); !strings.HasPrefix(got, "withheld: ") || !strings.Contains(got, c.why) {
				t.Errorf("%s, %s: %s", c.name, action, got)
			}
		}
	}
	for _, field := range []string{"Auto-Submitted: no", "X-Auto-Response-Suppress: None", "Precedence: normal", "Return-Path: <ada@customer.example>"} {
		if got := outcome(t, composer(t, func(o *Options) { o.Action = Acknowledge }), delivery(t, mailFrom("ada@customer.example", field))); got != "sent" {
			t.Errorf("%s: %s", field, got)
		}
	}
}

func TestGuardsOfLoopsAloneAnswerListsAndStayOutOfCircles(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.Guards = Acknowledge, "loops" })
	if got := outcome(t, c, delivery(t, mailFrom("ada@customer.example", "Precedence: bulk"))); got != "sent" {
		t.Errorf("bulk mail: %s", got)
	}
	if got := outcome(t, c, delivery(t, mailFrom("ada@customer.example", "X-Postferry-Trace: 1", "X-Postferry-Trace: 2", "X-Postferry-Trace: 3"))); !strings.HasPrefix(got, "withheld: ") {
		t.Errorf("mail that goes round in circles: %s", got)
	}
	if got := outcome(t, c, delivery(t, mailFrom("support@example.com"))); !strings.HasPrefix(got, "withheld: ") {
		t.Errorf("own mail: %s", got)
	}
}

func TestMailThatGoesInCirclesIsNotAnsweredAndNotLost(t *testing.T) {
	forward := composer(t, func(o *Options) { o.Action, o.From, o.To = Redirect, "desk@example.com", []string{"team@example.com"} })
	answer := composer(t, func(o *Options) { o.Action = Acknowledge })
	own := func(c *Composer) string {
		m := composed(t, c, delivery(t, mailFrom("ada@customer.example")))
		_, after, _ := strings.Cut(written(t, m, Offers{}), traceField+": ")
		value, _, _ := strings.Cut(after, "\r\n")
		return traceField + ": " + value
	}
	received := strings.Repeat("Received: from a by b; Mon, 23 Nov 2026 12:00:00 +0000\n", 51)
	for _, c := range []struct{ name, field, why string }{
		{"four hosts of postferry", traceField + ": 1\n" + traceField + ": 2\n" + traceField + ": 3", "went through postferry 3 times"},
		{"51 Received", strings.TrimSpace(received), "51 Received"},
	} {
		if got := outcome(t, answer, delivery(t, mailFrom("ada@customer.example", c.field))); !strings.HasPrefix(got, "withheld: ") || !strings.Contains(got, c.why) {
			t.Errorf("%s: %s", c.name, got)
		}
		if got := outcome(t, forward, delivery(t, mailFrom("ada@customer.example", c.field))); !strings.HasPrefix(got, "dead: ") || !strings.Contains(got, c.why) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	if got := outcome(t, answer, delivery(t, mailFrom("ada@customer.example", own(answer)))); !strings.Contains(got, "by this sink already") {
		t.Errorf("an own trace: %s", got)
	}
	if got := outcome(t, forward, delivery(t, mailFrom("ada@customer.example", own(forward)))); !strings.HasPrefix(got, "dead: ") {
		t.Errorf("an own trace: %s", got)
	}
	if got := outcome(t, forward, delivery(t, mailFrom("ada@customer.example", own(answer), strings.TrimSpace(strings.Repeat("Received: x\n", 50))))); got != "sent" {
		t.Errorf("another's trace, and 50 Received: %s", got)
	}
	back := composer(t, func(o *Options) { o.Action, o.From, o.To = Forward, "desk@example.com", []string{"{{ message.to }}"} })
	if got := outcome(t, back, delivery(t, mailFrom("ada@customer.example"))); !strings.HasPrefix(got, "dead: ") || !strings.Contains(got, "is the mailbox the mail was taken from") {
		t.Errorf("to the mailbox itself: %s", got)
	}
}

func TestAnswersCarryTheTracesOn(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action = Acknowledge })
	raw := written(t, composed(t, c, delivery(t, mailFrom("ada@customer.example", traceField+": 0a1b", traceField+": not hex, no token"))), Offers{})
	if strings.Count(raw, traceField) != 2 || !strings.Contains(raw, traceField+": 0a1b\r\n") {
		t.Errorf("it says %s", raw)
	}
}

func TestAnswerToAnAcknowledgementIsNotAcknowledged(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action = Acknowledge })
	for field, want := range map[string]string{
		"In-Reply-To: <msg_2h9.ack@example.com>":            "withheld: the mail answers an acknowledgement",
		"References: <a@b> <msg_2h9.ack@EXAMPLE.com> <c@d>": "withheld: the mail answers an acknowledgement",
		"In-Reply-To: <msg_2h9.ack@elsewhere.example>":      "sent",
		"In-Reply-To: <msg_2h9@example.com>":                "sent",
	} {
		if got := outcome(t, c, delivery(t, mailFrom("ada@customer.example", field))); got != want {
			t.Errorf("%s: %s", field, got)
		}
	}
}

// desk is a store and a clock for what is remembered.
type desk struct {
	t   testing.TB
	now time.Time
	has map[string][]desked
	n   int
}

type desked struct {
	delivery string
	until    time.Time
}

// remember does as the store does, whose own tests are spooltest's.
func (k *desk) remember(delivery string) func(context.Context, ...spool.Note) (*spool.Refusal, error) {
	return func(_ context.Context, notes ...spool.Note) (*spool.Refusal, error) {
		for i, n := range notes {
			var first time.Time
			others := 0
			for _, e := range k.has[n.Key] {
				if e.delivery != delivery && e.until.After(k.now) {
					if others++; first.IsZero() || e.until.Before(first) {
						first = e.until
					}
				}
			}
			if others >= n.Most {
				return &spool.Refusal{Note: i, Wait: first.Sub(k.now)}, nil
			}
		}
		for _, n := range notes {
			k.has[n.Key] = append(k.has[n.Key], desked{delivery, k.now.Add(n.For)})
		}
		return nil, nil
	}
}

// next is a delivery of its own.
func (k *desk) next(raw string) *sinks.Delivery {
	d := delivery(k.t, raw)
	k.n++
	d.ID, d.Timestamp = fmt.Sprint("msg_", k.n), k.now
	d.Remember = k.remember(d.ID)
	return d
}

func newDesk(t testing.TB) *desk {
	return &desk{t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), has: map[string][]desked{}}
}

func TestOneAcknowledgementForASenderInSevenDays(t *testing.T) {
	k := newDesk(t)
	c := composer(t, func(o *Options) { o.Action = Acknowledge })
	first := k.next(mailFrom("ada@customer.example"))
	for range 2 { // a second attempt of the same delivery
		if got := outcome(t, c, first); got != "sent" {
			t.Error(got)
		}
	}
	k.now = k.now.Add(7*24*time.Hour - time.Second)
	if got := outcome(t, c, k.next(mailFrom("ADA+x@customer.example"))); got != "withheld: the sender had an acknowledgement within 7d" {
		t.Error(got)
	}
	if got := outcome(t, c, k.next(mailFrom("bob@customer.example"))); got != "sent" {
		t.Error(got)
	}
	k.now = k.now.Add(time.Second)
	if got := outcome(t, c, k.next(mailFrom("ada@customer.example"))); got != "sent" {
		t.Error(got)
	}
}

func TestRepliesAreLimitedForASenderASubjectAndInAll(t *testing.T) {
	k := newDesk(t)
	c := composer(t, func(o *Options) { o.Action, o.Text = Reply, "x" })
	subject := func(from, s string) string { return strings.Replace(mailFrom(from), "hello", s, 1) }
	for i := range 5 {
		if got := outcome(t, c, k.next(subject("ada@customer.example", fmt.Sprint("one", i)))); got != "sent" {
			t.Fatal(got)
		}
	}
	if got := outcome(t, c, k.next(subject("ada@customer.example", "six"))); got != "withheld: the sender had 5/h answers (limits: per_sender)" {
		t.Error(got)
	}
	for i := range 10 {
		if got := outcome(t, c, k.next(subject(fmt.Sprint(i, "@customer.example"), strings.Repeat("Re: ", i)+"Offer"))); got != "sent" {
			t.Fatal(got)
		}
	}
	if got := outcome(t, c, k.next(subject("x@elsewhere.example", "AW: offer"))); got != "withheld: 10 mails of this subject were answered within an hour" {
		t.Error(got)
	}
	k.now = k.now.Add(20 * time.Minute)
	for i := range 85 {
		if got := outcome(t, c, k.next(subject(fmt.Sprint(i, "@other.example"), fmt.Sprint("other", i)))); got != "sent" {
			t.Fatal(i, got)
		}
	}
	got := outcome(t, c, k.next(subject("last@other.example", "last")))
	if !strings.HasPrefix(got, "held for 40m0s: circuit breaker: the sink has sent 100/h, all that limits: in_all allows") {
		t.Error(got)
	}
	k.now = k.now.Add(40 * time.Minute)
	if got := outcome(t, c, k.next(subject("last@other.example", "last"))); got != "sent" {
		t.Error(got)
	}
}

func TestForwardingIsLimitedWhereTheSinkSaysSo(t *testing.T) {
	k := newDesk(t)
	c := composer(t, func(o *Options) {
		o.Action, o.To, o.Limits.InAll = Forward, []string{"team@example.com"}, config.Rate{Count: 2, Per: time.Hour}
	})
	for _, want := range []string{"sent", "sent", "held for 1h0m0s: circuit breaker"} {
		if got := outcome(t, c, k.next(mailFrom("ada@customer.example"))); !strings.HasPrefix(got, want) {
			t.Error(got)
		}
	}
	c = composer(t, func(o *Options) { o.Action, o.To = Forward, []string{"team@example.com"} })
	for range 200 {
		if got := outcome(t, c, k.next(mailFrom("ada@customer.example"))); got != "sent" {
			t.Fatal(got)
		}
	}
}

func TestReplyToAllStopsAtFiftyRecipients(t *testing.T) {
	var to []string
	for i := range 50 {
		to = append(to, fmt.Sprint("p", i, "@victim.example"))
	}
	c := composer(t, func(o *Options) { o.Action, o.Text = ReplyAll, "x" })
	raw := func(n int) string {
		return wire("From: ada@customer.example\nTo: " + strings.Join(to[:n], ", ") + "\nSubject: x\n\nx\n")
	}
	if got := outcome(t, c, delivery(t, raw(49))); got != "sent" {
		t.Error(got)
	}
	if got := outcome(t, c, delivery(t, raw(50))); got != "withheld: it would go to 51 recipients, more than 50" {
		t.Error(got)
	}
}
