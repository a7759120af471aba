package smtp_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/sinks/smtp"
	"github.com/postferry/postferry/sinks/smtp/compose"
	"github.com/postferry/postferry/spool"
)

const team = "team@example.com"

// arrived waits for so many mails in a box of Dovecot.
func arrived(t *testing.T, d *mailtest.Dovecot, user string, n int) [][]byte {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if got := d.Stored(t, user, "INBOX"); len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%s has not got %d mails", user, n)
		}
	}
}

func TestMailArrivesThroughPostfixInDovecot(t *testing.T) {
	d := mailtest.StartDovecot(t)
	for _, u := range []string{user, team, "ada@example.com"} {
		d.AddUser(t, u, password)
	}
	p := mailtest.StartPostfix(t, d, []string{user, team, "ada@example.com"}, "message_size_limit = 100000", "smtpd_recipient_limit = 3")
	server := map[string]func(*smtp.Options){
		"submission":  func(o *smtp.Options) { o.Server = fmt.Sprintf("smtp://127.0.0.1:%d", p.SubmissionPort) },
		"submissions": func(o *smtp.Options) { o.Server = fmt.Sprintf("smtps://127.0.0.1:%d", p.SubmissionsPort) },
		"relay": func(o *smtp.Options) {
			o.Server, o.Insecure, o.Username, o.Password = fmt.Sprintf("smtp://127.0.0.1:%d", p.RelayPort), true, "", secret.Secret{}
		},
	}
	n := 0
	for name, edit := range server {
		for _, auth := range []string{"plain", "login"} {
			for _, action := range []string{compose.Forward, compose.Redirect, compose.Notify} {
				k := sink(t, "1", d.CAFile, func(o *smtp.Options) {
					edit(o)
					o.Action, o.Auth = action, auth
					if name == "relay" {
						o.Auth = ""
					}
					if action == compose.Notify {
						o.Text = "New: {{ message.subject }}"
					}
				})
				if name == "relay" && auth != "plain" {
					continue // nobody signs in there
				}
				n++
				r, err := k.Deliver(t.Context(), sinktest.Delivery(t, n, sinktest.Mail))
				if err != nil || !strings.HasPrefix(r.Detail, "250 2.0.0 Ok: queued as ") {
					t.Fatalf("%s, %s, %s: %+v, %v", name, auth, action, r, err)
				}
				if action == compose.Notify {
					for _, f := range k.Check(t.Context()) {
						if !f.OK {
							t.Errorf("%s: %+v", name, f)
						}
					}
				}
			}
		}
	}
	got := arrived(t, d, team, n)
	for i := 1; i <= n; i++ {
		found := 0
		for _, m := range got {
			if bytes.Contains(m, []byte("<"+sinktest.ID(i))) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("delivery %d is there %d times", i, found)
		}
	}

	answers(t, d, func(edit func(*smtp.Options)) *smtp.Sink {
		return sink(t, "1", d.CAFile, func(o *smtp.Options) { server["submission"](o); o.To = nil; edit(o) })
	})

	submission := func(edit func(*smtp.Options)) *smtp.Sink {
		return sink(t, "1", d.CAFile, func(o *smtp.Options) { server["submission"](o); edit(o) })
	}
	for _, c := range []struct {
		fact, says      string
		permanent, held bool
		edit            func(*smtp.Options)
	}{
		{"no such user", "550 5.1.1", true, false, func(o *smtp.Options) { o.To = []string{"nobody@example.com"} }},
		{"a wrong password", "535 5.7.8", false, true, func(o *smtp.Options) { o.Password = secret.New("wrong") }},
		{"no sign-in", "554 5.7.1", false, true, func(o *smtp.Options) { o.Username, o.Password = "", secret.Secret{} }},
	} {
		n++
		_, err := submission(c.edit).Deliver(t.Context(), sinktest.Delivery(t, n, sinktest.Mail))
		if err == nil || !strings.Contains(err.Error(), c.says) || sinks.IsPermanent(err) != c.permanent || sinks.IsSinkFault(err) != c.held {
			t.Errorf("%s: %v; permanent %v, held %v", c.fact, err, sinks.IsPermanent(err), sinks.IsSinkFault(err))
		}
	}
	n++
	large := sinktest.Mail + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2000)
	if _, err := submission(func(o *smtp.Options) { o.Action = compose.Redirect }).Deliver(t.Context(), sinktest.Delivery(t, n, large)); !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "100000") {
		t.Errorf("larger than SIZE: %v", err)
	}

	// A server that is killed and comes back is no reason for a mail to be lost.
	k := submission(func(*smtp.Options) {})
	n++
	if _, err := k.Deliver(t.Context(), sinktest.Delivery(t, n, sinktest.Mail)); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	n++
	if _, err := k.Deliver(t.Context(), sinktest.Delivery(t, n, sinktest.Mail)); err == nil || sinks.IsPermanent(err) {
		t.Errorf("a server that is gone: %v", err)
	}
	p.Restart(t)
	if _, err := k.Deliver(t.Context(), sinktest.Delivery(t, n, sinktest.Mail)); err != nil {
		t.Error(err)
	}
	arrived(t, d, team, len(got)+2)
}

// question is a mail in the middle of a thread.
const question = "From: Ada Byron <ada@example.com>\r\nTo: desk@example.com, team@example.com\r\nSubject: Order 1042\r\nMessage-ID: <q2@example.com>\r\n" +
	"In-Reply-To: <q1@example.com>\r\nReferences: <q0@example.com> <q1@example.com>\r\nDate: Mon, 23 Nov 2026 12:59:40 +0100\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nWo bleibt das Päckchen?\r\n"

// answers are given to ada, who finds each in its thread (RFC 5322 section 3.6.4),
// and a new mail that is in none.
func answers(t *testing.T, d *mailtest.Dovecot, by func(func(*smtp.Options)) *smtp.Sink) {
	t.Helper()
	n := 100
	given := map[string]string{} // what was done, by delivery
	for _, action := range []string{compose.Reply, compose.ReplyAll, compose.Acknowledge} {
		n++
		given[sinktest.ID(n)] = action
		if _, err := by(func(o *smtp.Options) { o.Action, o.Text = action, "It is on its way: größer als gedacht." }).Deliver(t.Context(), sinktest.Delivery(t, n, question)); err != nil {
			t.Fatalf("%s: %v", action, err)
		}
	}
	k := by(func(o *smtp.Options) { o.Action, o.Text = compose.Reply, "as configured" })
	asked, err := (&sinks.Directive{Text: "As the webhook says."}).Errand("desk", sinks.VerbReply)
	if err != nil {
		t.Fatal(err)
	}
	n++
	given[sinktest.ID(n)] = "asked for"
	if _, err := k.Errand(t.Context(), sinktest.Delivery(t, n, question), &asked); err != nil {
		t.Fatalf("a reply that was asked for: %v", err)
	}
	whole, err := (&sinks.Envelope{From: user, To: []string{"ada@example.com"}}).Errand("desk")
	if err != nil {
		t.Fatal(err)
	}
	n++
	given[sinktest.ID(n)] = "sent"
	if _, err := k.Errand(t.Context(), sinktest.Delivery(t, n, "From: desk@example.com\r\nTo: ada@example.com\r\nMessage-ID: <"+sinktest.ID(n)+"@example.com>\r\nSubject: News\r\n\r\nGood news.\r\n"), &whole); err != nil {
		t.Fatalf("a mail that is sent as it is: %v", err)
	}
	for _, raw := range arrived(t, d, "ada@example.com", len(given)) {
		octets := spool.NewOctets(raw)
		m, err := parser.Parse(octets, octets.Size(), parser.Limits{})
		if err != nil || len(m.MessageID) != 1 {
			t.Fatalf("%v: %q", err, raw)
		}
		what := ""
		for id, w := range given {
			if strings.HasPrefix(m.MessageID[0], id) {
				what = w
				delete(given, id)
			}
		}
		threaded := slices.Equal(m.InReplyTo, []string{"q2@example.com"}) && slices.Equal(m.References, []string{"q0@example.com", "q1@example.com", "q2@example.com"})
		if what == "" || threaded != (what != "sent") || len(m.Problems) > 0 {
			t.Errorf("%q is no answer in the thread, or no new mail; %v:\n%s", what, m.Problems, raw)
		}
		subject := map[string]string{"sent": "News", compose.Acknowledge: "Auto: Order 1042"}[what] // RFC 3834 section 3.1.5
		if m.Automated.Is == (what == "sent") || *m.Subject != cmp.Or(subject, "Re: Order 1042") {
			t.Errorf("%s: automated %v, subject %s", what, m.Automated.Is, *m.Subject)
		}
	}
	if len(given) > 0 {
		t.Errorf("%v did not come", given)
	}
}
