package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
	"github.com/postferry/postferry/parser"
)

// office is a folder with a configuration that can send, and no mail to take.
type office struct {
	t      *testing.T
	dir    string
	server *smtpd.Server
}

func newOffice(t *testing.T, sinks ...string) *office {
	t.Helper()
	o := &office{t, t.TempDir(), smtpd.Start(t, smtpd.Options{})}
	text := "version: 1\nlisten: \"\"\nmailboxes:\n  in: {server: \"imaps://" + freeAddress(t) + "\", username: a, password: p, backfill: all, deliver: [lines]}\n" +
		"sinks:\n  lines: {type: file, path: mails.jsonl}\n" + strings.Join(sinks, "")
	if sinks == nil {
		text += desk("desk", o.server, "action: reply")
	}
	o.file("postferry.yaml", text)
	return o
}

func (o *office) file(name, text string) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// sent is what send prints.
type sent struct {
	Mail                                     int
	Delivery, MessageID, Sink, State, Detail string
}

// send runs send with -o json and returns what it printed.
func (o *office) send(want int, stdin string, args ...string) (s sent) {
	o.t.Helper()
	code, out, stderr := program(o.t, o.dir, stdin, nil, append([]string{"send", "-o", "json"}, args...)...)
	if code != want {
		o.t.Fatalf("send %q exited with %d, not %d: %s", args, code, want, stderr)
	}
	if code == 0 || code == 3 || code == 75 {
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			o.t.Fatalf("%v: %s %s", err, out, stderr)
		}
	} else if !strings.HasPrefix(stderr, "postferry: ") || strings.Count(stderr, "\n") != 1 {
		o.t.Errorf("send %q says %s", args, stderr)
	}
	return s
}

var simple = []string{"--from", "desk@example.com", "--to", "bob@customer.example", "--subject", "Hello"}

func TestSendComposesAMailAndSendsItOnce(t *testing.T) {
	o := newOffice(t)
	o.file("text.txt", "Grüße aus Köln,\n.\nein Punkt, und From am Anfang:\nFrom here on.\n")
	o.file("page.html", "<p>Grüße</p>")
	o.file("Übersicht 2026.pdf", "%PDF-1.4\r\x00\xff")
	s := o.send(0, "", "--from", "Grace Höpper <desk@example.com>", "--to", "Bob <bob@customer.example>, eve@customer.example", "--cc", "c@customer.example",
		"--bcc", "hidden@customer.example", "--reply-to", "answers@example.com", "--subject", "Übersicht für 100 €", "--html", "page.html", "--attach", "Übersicht 2026.pdf", "text.txt")
	if s.State != "delivered" || !strings.HasPrefix(s.Detail, "250") || s.Sink != "desk" || !strings.HasPrefix(s.Delivery, "msg_") {
		t.Errorf("%+v", s)
	}
	mails := o.server.Mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	got := mails[0]
	if got.From != "desk@example.com" || fmt.Sprint(got.To) != "[bob@customer.example eve@customer.example c@customer.example hidden@customer.example]" {
		t.Errorf("from %s to %v", got.From, got.To)
	}
	if bytes.Contains(got.Data, []byte("hidden")) || bytes.ContainsFunc(got.Data, func(r rune) bool { return r > 126 }) {
		t.Errorf("the mail has what it must not have:\n%s", got.Data)
	}
	m, err := parser.Parse(bytes.NewReader(got.Data), int64(len(got.Data)), parser.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if *m.Subject != "Übersicht für 100 €" || *m.From[0].Name != "Grace Höpper" || m.MessageID[0] != s.MessageID || len(m.Problems) > 0 ||
		strings.ReplaceAll(*m.Text, "\r\n", "\n") != "Grüße aus Köln,\n.\nein Punkt, und From am Anfang:\nFrom here on.\n" || *m.HTML != "<p>Grüße</p>" ||
		len(m.ReplyTo) != 1 || len(m.Attachments) != 1 || *m.Attachments[0].Name != "Übersicht 2026.pdf" || m.Attachments[0].Type != "application/pdf" || m.SentAt == nil {
		t.Errorf("%+v\n%s", m, got.Data)
	}
	_, out, _ := program(t, o.dir, "", nil, "list", "--mailbox", "(local)")
	if !strings.Contains(out, "desk send delivered") || !strings.Contains(out, s.MessageID) {
		t.Errorf("list says:\n%s", out)
	}
	_, out, _ = program(t, o.dir, "", nil, "show", s.Delivery)
	if !strings.Contains(out, s.Delivery+" to desk, send: delivered") || !strings.Contains(out, "<"+s.MessageID+">") {
		t.Errorf("show says:\n%s", out)
	}
	if _, out, _ := program(t, o.dir, "", nil, "show", "--raw", s.Delivery); out != string(got.Data) {
		t.Errorf("the store has another mail:\n%q\n%q", out, got.Data)
	}
}

// What a server does not take yet is tried again by the next run, through whose
// socket the next mail goes.
func TestSendLeavesToTheServiceWhatTheServerDoesNotTakeYet(t *testing.T) {
	o := newOffice(t)
	o.server.Script("MAIL", smtpd.Say("451 4.3.0 later\r\n"))
	s := o.send(75, "first", append(simple, "--wait", "5s")...)
	if s.State != "deferred" || !strings.Contains(s.Detail, "4.3.0 later") {
		t.Errorf("%+v", s)
	}
	o.server.Obey("MAIL")
	p := mailtest.StartProc(t, mailtest.Command{Path: mailtest.BuildBinary(t), Args: []string{"run"}, Dir: o.dir})
	o.server.Wait(t, func() bool { return len(o.server.Mails()) == 1 })
	again := o.send(0, "second", simple...)
	if again.State != "delivered" || again.Mail <= s.Mail || len(o.server.Mails()) != 2 {
		t.Errorf("%+v, %d mails", again, len(o.server.Mails()))
	}
	o.server.Script("RCPT", smtpd.Say("550 5.1.1 no such user\r\n"))
	dead := o.send(3, "third", simple...)
	if dead.State != "dead" || !strings.Contains(dead.Detail, "5.1.1 no such user") {
		t.Errorf("%+v", dead)
	}
	if _, out, _ := program(t, o.dir, "", nil, "status"); !strings.Contains(out, "desk") {
		t.Errorf("status says:\n%s", out)
	}
	p.Kill()
	if n := len(o.server.Mails()); n != 2 {
		t.Errorf("%d mails", n)
	}
}

func TestSendTellsWhatToChange(t *testing.T) {
	o := newOffice(t)
	o.file("latin1.txt", "Gr\xfc\xdfe")
	for _, c := range []struct {
		fact string
		want int
		args []string
	}{
		{"no sender", 64, []string{"--to", "bob@customer.example"}},
		{"no recipient", 64, []string{"--from", "desk@example.com"}},
		{"an address that is none", 64, []string{"--from", "desk@example.com", "--to", "bob"}},
		{"an address with a header field in it", 64, []string{"--from", "desk@example.com", "--to", "bob@customer.example\r\nBcc: eve@customer.example"}},
		{"two senders", 64, []string{"--from", "a@example.com, b@example.com", "--to", "bob@customer.example"}},
		{"a subject without quotes", 64, append(simple, "out", "of", "office")},
		{"another sink", 64, append(simple, "--sink", "lines")},
		{"a file that is not there", 65, append(simple, "none.txt")},
		{"a text that is not UTF-8", 65, append(simple, "latin1.txt")},
		{"an attachment that is not there", 65, append(simple, "--attach", "none.pdf")},
	} {
		t.Run(c.fact, func(t *testing.T) { o.send(c.want, "text", c.args...) })
	}
	o.send(0, "text", append(simple[:4:4], "--subject", "a\r\nBcc: eve@customer.example")...) // one line, and no header field
	if m := o.server.Mails(); len(m) != 1 || len(m[0].To) != 1 || bytes.Contains(m[0].Data, []byte("\nBcc")) {
		t.Errorf("%+v", m)
	}
	none := newOffice(t, "  other: {type: file, path: o.jsonl}\n")
	none.send(78, "text", simple...)
	several := newOffice(t, desk("one", o.server, "action: reply"), desk("two", o.server, "action: reply"))
	several.send(64, "text", simple...)
	several.send(0, "text", append(simple, "--sink", "two")...)
}
