//go:build !race

// Processes of their own are killed here: the race detector would see nothing of
// them.

package main_test

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
)

// relayed is a world in which ada's mail goes on to an SMTP server.
type relayed struct {
	*crash
	server *smtpd.Server
	sent   [][]byte
}

// relays makes one with so many mails in the mailbox.
func relays(t *testing.T, d *mailtest.Dovecot, binary string, seed uint64, mails int) *relayed {
	t.Helper()
	r := &relayed{
		crash:  &crash{world: &world{t: t, dovecot: d, binary: binary, dir: t.TempDir()}, scheme: "imap"},
		server: smtpd.Start(t, smtpd.Options{TLS: &tls.Config{Certificates: []tls.Certificate{d.CA.Pair}}, SASL: smtpd.Mechanisms("desk@example.com", password), Required: true, BodyStop: 10}),
		sent:   mailtest.Mix(mails, seed),
	}
	r.config = filepath.Join(r.dir, "postferry.yaml")
	r.write("mailboxes:\n" + r.box("inbox", "imap", ada, "insecure: true", "after: delete", "deliver: [desk]") + fmt.Sprintf(`
sinks:
  desk:
    type: smtp
    server: smtp://127.0.0.1:%s
    username: desk@example.com
    password: %s
    tls: {ca_file: %s}
    action: redirect
    from: desk@example.com
    to: [a@example.com, b@example.com]
    concurrency: 1
    retry: {delays: [10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms], every: 1s, for: 1h, jitter: false}
`, r.server.Port, password, d.CAFile))
	r.fill(r.sent)
	return r
}

// conserved ends the program's work and holds the whole against the oracle: each
// mail came for both recipients, one that came again is the same to the octet, and
// nothing is left in the mailbox.
func (r *relayed) conserved(what string, again int) {
	r.t.Helper()
	r.once(0)
	extra := 0
	for _, raw := range r.sent {
		token := mailtest.Token(raw)
		var first []byte
		for _, rcpt := range []string{"a@example.com", "b@example.com"} {
			n := 0
			for _, m := range r.server.Mails() {
				if !slices.Contains(m.To, rcpt) || mailtest.Token(m.Data) != token {
					continue
				}
				if n++; first == nil {
					first = m.Data
				}
				if string(m.Data) != string(first) {
					r.t.Errorf("%s: %s came with other octets", what, token)
				}
			}
			if n == 0 {
				r.t.Errorf("%s: %s is lost for %s", what, token, rcpt)
			}
			extra += n - 1
		}
	}
	if extra > 2*again {
		r.t.Errorf("%s: %d recipients got a mail again", what, extra)
	}
	if in := r.dovecot.Count(r.t, ada, "INBOX"); in != 0 {
		r.t.Errorf("%s: %d mails left in INBOX", what, in)
	}
}

func TestKilledAtEachStepOfGivingByMailNothingIsLost(t *testing.T) {
	d := mailtest.StartDovecot(t)
	d.AddUser(t, ada, password)
	binary := mailtest.BuildBinary(t)
	for i, point := range failpoint.Points {
		if !strings.HasPrefix(point, "smtp.") {
			continue
		}
		t.Run(point, func(t *testing.T) {
			r := relays(t, d, binary, uint64(7000+i), 2)
			if strings.HasPrefix(point, "smtp.rset") { // a transaction that is given up
				r.server.Script("RCPT TO:<a@example.com>", smtpd.Say("450 4.2.1 later\r\n").Once())
				r.server.Script("RCPT TO:<b@example.com>", smtpd.Say("450 4.2.1 later\r\n").Once())
			}
			if !r.kill(point, 1) {
				t.Fatal("the point was not passed")
			}
			r.conserved(point, 1)
		})
	}
}

// Three mails of one sender and one of another come to a sink that acknowledges, which
// is killed with the note of it not yet durable, when it is, on the wire, and after. Each
// sender gets one acknowledgement, which may come twice, to the octet, where it was in
// flight; and what comes later gets none.
func TestKilledWhileGivingByMailASenderGetsOneAcknowledgement(t *testing.T) {
	d := mailtest.StartDovecot(t)
	binary := mailtest.BuildBinary(t)
	points := []string{
		"deliver.before", "smtp.connect.before", "smtp.data.part", "smtp.end.sent", "smtp.end.after",
		"deliver.after", "spool.record.commit.before", "spool.record.commit.after",
	}
	desk := func(i int) string { return fmt.Sprintf("desk%d@example.com", i) }
	for i := range points {
		d.AddUser(t, desk(i), password)
	}
	for i, point := range points {
		t.Run(point, func(t *testing.T) {
			user := desk(i)
			r := &relayed{
				crash:  &crash{world: &world{t: t, dovecot: d, binary: binary, dir: t.TempDir()}},
				server: smtpd.Start(t, smtpd.Options{}),
			}
			from := func(who string, n int) {
				d.Append(t, user, "INBOX", fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: Question %d\r\nMessage-ID: <%d@customer.example>\r\nDate: Mon, 23 Nov 2026 09:12:44 +0100\r\n\r\nAnd?\r\n", who, user, n, n))
			}
			for n := range 3 {
				from("Bob <bob@customer.example>", n)
			}
			from("eve@customer.example", 3)
			r.config = filepath.Join(r.dir, "postferry.yaml")
			r.write("mailboxes:\n" + r.box("inbox", "imap", user, "insecure: true", "deliver: [thanks]") + fmt.Sprintf(`
sinks:
  thanks: {type: smtp, server: "smtp://127.0.0.1:%s", insecure: true, action: acknowledge, from: %s, text: "It has arrived."}
`, r.server.Port, user))
			if !r.kill(point, 1) {
				t.Fatal("the point was not passed")
			}
			r.once(0)
			from("BOB@Customer.Example", 4)
			r.once(0)
			for _, who := range []string{"bob@customer.example", "eve@customer.example"} {
				var got []string
				for _, m := range r.server.Mails() {
					if strings.EqualFold(m.To[0], who) {
						got = append(got, string(m.Data))
					}
				}
				if len(got) == 0 || len(slices.Compact(slices.Clone(got))) != 1 || len(got) > 2 {
					t.Errorf("%s got %q", who, got)
				}
			}
		})
	}
}

// One mail meets a server that ends the connection at each step in turn, before
// and after it has done what was asked, and at last one that accepts one recipient
// and not the other.
func TestCutAtEachStepOfGivingByMailNothingIsLost(t *testing.T) {
	d := mailtest.StartDovecot(t)
	d.AddUser(t, ada, password)
	r := relays(t, d, mailtest.BuildBinary(t), 8000, 1)
	for _, step := range []string{"", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "body"} {
		r.server.Script(step, smtpd.Cut("").Once())
	}
	r.server.Script("MAIL FROM:<desk@example.com> BODY=8BITMIME", smtpd.Cut("421 4.3.2 going down\r\n").Once())
	r.server.Script(".", smtpd.Cut("").Once())
	r.conserved("cut before the mail is accepted", 0)
	if n := r.server.Sessions(); n < 9 {
		t.Errorf("%d connections", n)
	}

	r = relays(t, d, r.binary, 8001, 2)
	r.server.Script(".", smtpd.Cut("").After().Once())
	r.conserved("cut after the mail is accepted", 1)

	r = relays(t, d, r.binary, 8002, 2)
	r.server.Script("RCPT TO:<b@example.com>", smtpd.Say("450 4.2.1 later\r\n").Once())
	r.conserved("one recipient later", 0)
}
