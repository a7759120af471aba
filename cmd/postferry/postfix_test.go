package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/parser"
)

const asked = "Return-Path: <bob@example.com>\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\nFrom: Bob <bob@example.com>\r\nTo: Ada <ada@example.com>\r\nSubject: Where is it?\r\nMessage-ID: <q1@example.com>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nWo bleibt meine Bestellung? Grüße, Bob\r\n"

// TestAllThatPostferrySendsArrivesAndIsThreaded takes a mail from a real Dovecot and
// sends what comes of it through a real Postfix, with TLS and a sign-in: an
// acknowledgement, the reply and the forwarded mail an answer asks for, the mail
// redirected, and a mail of postferry send. All arrive in Dovecot, whose THREAD
// (RFC 5256) has the answers under the question.
func TestAllThatPostferrySendsArrivesAndIsThreaded(t *testing.T) {
	const bob, stock, archive = "bob@example.com", "stock@example.com", "archive@example.com"
	w := newWorld(t)
	for _, user := range []string{bob, stock, archive} {
		w.dovecot.AddUser(t, user, password)
	}
	p := mailtest.StartPostfix(t, w.dovecot, []string{ada, bob, stock, archive})
	w.dovecot.Append(t, ada, "INBOX", []byte(asked))
	w.dovecot.Append(t, bob, "INBOX", []byte(asked)) // his own copy
	w.receiver.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 200, Body: `{"reply": {"text": "Morgen, für 1 €."}, "forward": {"to": "` + stock + `", "text": "Please see to it."}}`}
	})
	by := func(name string, more ...string) string {
		return strings.Join(append([]string{
			"  " + name + ":", "type: smtp", fmt.Sprintf("server: smtp://localhost:%d", p.SubmissionPort), "tls: {ca_file: " + p.CAFile + "}",
			"username: " + ada, "password: " + password, "from: Desk <" + ada + ">",
		}, more...), "\n    ") + "\n"
	}
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "deliver: [thanks, app, elsewhere]", "after: move:Done") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL, "directives: {reply: desk, forward: desk}") + by("desk", "action: reply") +
		by("thanks", "action: acknowledge", "text: We have your mail.") + by("elsewhere", "action: redirect", "to: ["+archive+"]"))
	w.once(0)
	if n := w.dovecot.Count(t, ada, "Done"); n != 1 {
		t.Errorf("%d mails were settled", n)
	}
	w.await("bob's answers", func() bool { return w.dovecot.Count(t, bob, "INBOX") == 3 })
	code, out, stderr := program(t, w.dir, "Noch etwas: schöne Grüße.\n", nil, "send", "--sink", "desk", "--from", "Ada <"+ada+">", "--to", "Bob <"+bob+">", "--bcc", stock, "--subject", "Öffnungszeiten")
	if code != 0 || !strings.Contains(out, "delivered; 250 2.0.0 Ok: queued as ") {
		t.Fatalf("send exits with %d: %s %s", code, out, stderr)
	}
	got := map[string][]*parser.Message{}
	for user, n := range map[string]int{bob: 4, stock: 2, archive: 1} {
		w.await(user+"'s mails", func() bool { return w.dovecot.Count(t, user, "INBOX") >= n })
		for _, raw := range w.dovecot.Stored(t, user, "INBOX") {
			m, err := parser.Parse(bytes.NewReader(raw), int64(len(raw)), parser.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Problems) > 0 {
				t.Errorf("%s's %s has problems: %+v", user, *m.Subject, m.Problems)
			}
			got[user+" "+*m.Subject] = append(got[user+" "+*m.Subject], m)
		}
	}
	for what, says := range map[string]string{
		bob + " Where is it?": "Wo bleibt", bob + " Auto: Where is it?": "We have your mail.", bob + " Re: Where is it?": "Morgen, für 1 €.", bob + " Öffnungszeiten": "schöne Grüße",
		stock + " Fwd: Where is it?": "Grüße, Bob", stock + " Öffnungszeiten": "schöne Grüße", archive + " Where is it?": "Wo bleibt",
	} {
		if len(got[what]) != 1 || !strings.Contains(*got[what][0].Text, says) {
			t.Errorf("%s: %d mails", what, len(got[what]))
		}
		delete(got, what)
	}
	if len(got) > 0 {
		t.Errorf("there is more: %v", got)
	}
	// The question with both answers under it, and another thread. The numbers are in
	// the order of arrival, which is the answers' own.
	if threads := threadsOf(t, w.dovecot.IMAPAddr(), bob); threads != "(1 (2)(3))(4)" {
		t.Errorf("bob's threads are %s", threads)
	}
	if redirected := w.dovecot.Stored(t, archive, "INBOX")[0]; !bytes.Contains(redirected, []byte("\nResent-To: "+archive)) || !bytes.Contains(redirected, []byte("\nMessage-ID: <q1@example.com>")) {
		t.Errorf("redirected:\n%s", redirected)
	}
	w.once(0)
	counts := []int{w.dovecot.Count(t, bob, "INBOX"), w.dovecot.Count(t, stock, "INBOX"), w.dovecot.Count(t, archive, "INBOX"), w.receiver.Count()}
	if !slices.Equal(counts, []int{4, 2, 1, 1}) {
		t.Errorf("something was sent twice: %v", counts)
	}
}

// threadsOf asks for THREAD=REFERENCES of an INBOX (RFC 5256).
func threadsOf(t *testing.T, address, user string) (found string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for i, command := range []string{fmt.Sprintf("LOGIN %s %q", user, password), "SELECT INBOX", "THREAD REFERENCES UTF-8 ALL"} {
		fmt.Fprintf(conn, "a%d %s\r\n", i, command)
		for ended := false; !ended; {
			if !lines.Scan() {
				t.Fatalf("%s: %v", command, lines.Err())
			}
			if rest, ok := strings.CutPrefix(lines.Text(), "* THREAD "); ok {
				found = strings.TrimSpace(rest)
			}
			rest, ok := strings.CutPrefix(lines.Text(), fmt.Sprintf("a%d ", i))
			if ended = ok; ok && !strings.HasPrefix(rest, "OK") {
				t.Fatalf("%s: %s", command, rest)
			}
		}
	}
	return found
}
