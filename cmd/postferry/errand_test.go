package main_test

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
)

// desk is a sink of type smtp, for the server.
func desk(name string, s *smtpd.Server, more ...string) string {
	lines := append([]string{
		"  " + name + ":", "type: smtp", fmt.Sprintf("server: smtp://%s:%s", s.Host, s.Port), "insecure: true", "from: Desk <desk@example.com>",
		"retry: {delays: [50ms, 50ms]}",
	}, more...)
	return strings.Join(lines, "\n    ") + "\n"
}

const question = "From: Bob <bob@customer.example>\r\nTo: ada@example.com\r\nSubject: Where is it?\r\nMessage-ID: <q1@customer.example>\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n\r\nWhere is my order?\r\n"

// asking is a world with a mail in it, whose receiver's answer asks for a reply and
// for the mail to be passed on.
func asking(t *testing.T) (*world, *smtpd.Server) {
	t.Helper()
	w, server := newWorld(t), smtpd.Start(t, smtpd.Options{})
	w.dovecot.Append(t, ada, "INBOX", []byte(question))
	w.receiver.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 200, Body: `{"reply": {"text": "Tomorrow."}, "forward": {"to": "Stock <stock@example.com>", "text": "Please see to it."}}`}
	})
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: move:Done") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL, "directives: {reply: desk, forward: desk}") + desk("desk", server, "action: reply"))
	return w, server
}

// mails are those the server accepted, by their Message-IDs.
func mails(t *testing.T, s *smtpd.Server) map[string][]smtpd.Mail {
	t.Helper()
	all := map[string][]smtpd.Mail{}
	for _, m := range s.Mails() {
		read, err := mail.ReadMessage(bytes.NewReader(m.Data))
		if err != nil {
			t.Fatalf("%v: %s", err, m.Data)
		}
		all[read.Header.Get("Message-ID")] = append(all[read.Header.Get("Message-ID")], m)
	}
	return all
}

// Killed between the answer and its record, after it, and before and after the
// SMTP server's acceptance: the reply and the mail passed on are there, once where
// it can be known, and as the same mail where the server's answer died with the
// program.
func TestKilledAnywhereBetweenAnswerAndAcceptanceTheReplyIsSent(t *testing.T) {
	for _, c := range []struct {
		point    string
		requests int // the receiver gets
		most     int // mails the SMTP server accepts of one Message-ID
	}{
		{"deliver.after:hit#1", 2, 1},
		{"record.before:hit#1", 2, 1},
		{"spool.record.commit.before:hit#1", 2, 1},
		{"spool.record.commit.after:hit#1", 1, 1},
		{"record.after:hit#1", 1, 1},
		{"deliver.claimed:hit#2", 1, 1},
		{"deliver.before:hit#2", 1, 1},
		{"deliver.after:hit#2", 1, 2},
		{"record.before:hit#2", 1, 2},
		{"record.after:hit#2", 1, 2},
		{"record.after:hit#3", 1, 1},
	} {
		t.Run(c.point, func(t *testing.T) {
			w, server := asking(t)
			p := mailtest.StartProc(t, mailtest.Command{Path: w.binary, Args: []string{"run", "--once"}, Dir: w.dir, Env: []string{"POSTFERRY_FAIL=" + c.point}})
			if code := p.Wait(t, time.Minute); code != -int(syscall.SIGKILL) && code != -1 && code != 128+int(syscall.SIGKILL) {
				t.Fatalf("the program was not killed: %d, %s", code, tail(p.Stderr.String(), 2000))
			}
			w.once(0)
			w.once(0)
			if n := w.receiver.Count(); n != c.requests {
				t.Errorf("%d requests, not %d", n, c.requests)
			}
			all := mails(t, server)
			if len(all) != 2 {
				t.Fatalf("%d mails: %v", len(all), all)
			}
			var to []string
			for id, sent := range all {
				if len(sent) > c.most || !bytes.Equal(sent[0].Data, sent[len(sent)-1].Data) {
					t.Errorf("%s was sent %d times", id, len(sent))
				}
				to = append(to, sent[0].To...)
			}
			if all := strings.Join(to, " "); !strings.Contains(all, "bob@customer.example") || !strings.Contains(all, "stock@example.com") {
				t.Errorf("they went to %s", all)
			}
			if n := w.dovecot.Count(t, ada, "Done"); n != 1 {
				t.Errorf("%d mails were settled", n)
			}
			w.verify()
		})
	}
}

// While the reply waits, so does what is to happen to the mail on its server; an
// operator sees it, sends it again and forgets it.
func TestAReplyIsADeliveryLikeAnother(t *testing.T) {
	w, server := asking(t)
	server.Script("MAIL", smtpd.Say("451 4.3.0 later\r\n"))
	w.once(75, "--wait", "0s")
	if n := w.dovecot.Count(t, ada, "Done"); n != 0 {
		t.Error("the mail was settled before the reply was sent")
	}
	_, out, _ := w.run("show", "1")
	for _, want := range []string{`reply that msg_`, `says {"text":"Tomorrow."}`, "4.3.0 later", "forward that msg_"} {
		if !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
	if _, out, _ := w.run("list"); !strings.Contains(out, "desk reply deferred") {
		t.Errorf("list says:\n%s", out)
	}
	server.Obey("MAIL")
	w.once(0)
	if n := len(server.Mails()); n != 2 || w.receiver.Count() != 1 || w.dovecot.Count(t, ada, "Done") != 1 {
		t.Fatalf("%d mails, %d requests", n, w.receiver.Count())
	}
	var m struct {
		Deliveries []struct {
			ID, Part string
			Errand   *struct{ Verb, Parent string }
		}
	}
	w.decode(&m, "show", "1")
	var reply string
	for _, d := range m.Deliveries {
		if d.Errand != nil && d.Errand.Verb == "reply" && d.Errand.Parent != "" {
			reply = d.ID
		}
	}
	w.run("replay", "1") // the mail: its receiver gets it, and nobody else
	w.once(0)
	if n := len(server.Mails()); n != 2 || w.receiver.Count() != 2 {
		t.Errorf("after a replay: %d mails, %d requests", n, w.receiver.Count())
	}
	w.run("replay", reply)
	w.once(0)
	if all := mails(t, server); len(all) != 2 || len(server.Mails()) != 3 {
		t.Errorf("after a replay of the reply: %d mails of %d", len(server.Mails()), len(all))
	}
	if code, _, stderr := w.run("replay", "--to", w.receiver.URL, reply); code != 65 || !strings.Contains(stderr, "SMTP") {
		t.Errorf("a reply went to a URL: %d, %s", code, stderr)
	}
	w.run("forget", "1")
	if code, _, _ := w.run("show", reply); code != 65 {
		t.Errorf("the forgotten mail's reply is there: %d", code)
	}
}
