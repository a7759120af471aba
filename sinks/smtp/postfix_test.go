package smtp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/sinks/smtp"
	"github.com/postferry/postferry/sinks/smtp/compose"
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
	p := mailtest.StartPostfix(t, d, []string{user, team}, "message_size_limit = 100000", "smtpd_recipient_limit = 3")
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
