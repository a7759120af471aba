package main_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest"
)

const terminate = syscall.SIGTERM

// lines are the lines of a log that hold the word, once each.
func lines(log, word string) []string {
	var found []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return found
}

func TestOneMailboxThatFailsIsNamedInOneLineAndTheOthersGoOn(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := dead.Addr().String()
	dead.Close()
	other, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	foreign := filepath.Join(w.dir, "foreign.pem")
	if err := os.WriteFile(foreign, other.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	mails := mailtest.Mix(5, 1)
	w.fill(mails)
	for _, c := range []struct {
		name, box string
		code      int
		says      []string
	}{
		{"unreachable", "  broken: {server: \"imaps://" + nobody + "\", username: a, password: b, deliver: [app]}", 69, []string{nobody, "refused"}},
		{"no such host", "  broken: {server: \"pop3s://nowhere.invalid\", username: a, password: b, deliver: [app]}", 69, []string{"nowhere.invalid"}},
		{"sign-in refused over IMAP", "  broken: {server: \"" + w.dovecot.URL("imaps") + "\", username: " + ada + ", password: wrong-canary, tls: {ca_file: " + w.dovecot.CAFile + "}, deliver: [app]}", 77, []string{"signing in", "password"}},
		{"sign-in refused over POP3", "  broken: {server: \"" + w.dovecot.URL("pop3s") + "\", username: " + ada + ", password: wrong-canary, tls: {ca_file: " + w.dovecot.CAFile + "}, deliver: [app]}", 77, []string{"signing in", "password"}},
		{"untrusted certificate over IMAP", "  broken: {server: \"" + w.dovecot.URL("imaps") + "\", username: " + ada + ", password: x, tls: {ca_file: " + foreign + "}, deliver: [app]}", 69, []string{"certificate", "ca_file"}},
		{"untrusted certificate over STLS", "  broken: {server: \"" + w.dovecot.URL("pop3") + "\", username: " + ada + ", password: x, tls: {ca_file: " + foreign + "}, deliver: [app]}", 69, []string{"certificate", "ca_file"}},
		{"no such folder", "  broken: {server: \"" + w.dovecot.URL("imaps") + "\", username: " + ada + ", password: \"" + password + "\", folders: [INBOXX], tls: {ca_file: " + w.dovecot.CAFile + "}, deliver: [app]}", 75, []string{"INBOXX"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{t: t, dovecot: w.dovecot, receiver: mailtest.NewReceiver(t), binary: w.binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			w.write("mailboxes:\n" + c.box + "\n" + w.box("inbox", "imaps", ada, "after: keep") + "\nsinks:\n" + w.sink("app", w.receiver.URL))
			stderr := w.once(c.code)
			w.exactlyOnce(len(mails))
			said := lines(stderr, `"ERROR"`)
			if len(said) != 1 || !strings.Contains(said[0], `"mailbox":"broken"`) {
				t.Fatalf("%d errors, want one, of mailbox broken:\n%s", len(said), strings.Join(said, ""))
			}
			for _, word := range c.says {
				if !strings.Contains(said[0], word) {
					t.Errorf("the error does not say %q: %s", word, said[0])
				}
			}
			if strings.Contains(stderr, "wrong-canary") {
				t.Error("the password is in the log")
			}
		})
	}
	if left := w.dovecot.Count(t, ada, "INBOX"); left != len(mails) {
		t.Errorf("%d of %d mails left on the server", left, len(mails))
	}
}

func TestRefusedMailIsADeadLetterAndStaysOnTheServer(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(3, 9))
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: delete") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL, "retry: {delays: [1s], every: 1s, for: 10s}"))
	w.receiver.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: http.StatusUnprocessableEntity, Body: "no such ticket"}
	})
	w.once(3, "--wait", "30s")
	if got := w.receiver.Count(); got != 9 { // three tries each
		t.Errorf("%d requests, want 9", got)
	}
	if left := w.dovecot.Count(t, ada, "INBOX"); left != 3 {
		t.Errorf("%d mails left on the server, want 3", left)
	}
	code, out, _ := w.run("status")
	if code != 0 || !strings.Contains(out, "DEAD") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
}

func TestAMailThatATemplateCannotBeFilledWithIsADeadLetterAndTheOthersFlow(t *testing.T) {
	w := newWorld(t)
	w.fill([][]byte{
		[]byte("From: Ada <ada@example.com>\r\nSubject: 2026-12-01\r\n\r\nx\r\n"),
		[]byte("Subject: no date\r\n\r\nx\r\n"),
		[]byte("From: Bob <bob@example.com>\r\nSubject: 2026-12-24\r\n\r\nx\r\n"),
	})
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: delete") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL, "format: template", "body: {due: '{{ date(message.subject) }}', by: '{{ message.from[0].email }}'}"))
	if log := w.once(3); !regexp.MustCompile(`"took":"[0-9.]+(µs|ms|s)"`).MatchString(log) {
		t.Errorf("the log does not say in words how long it took: %s", tail(log, 1000))
	}
	var got []string
	for _, q := range w.receiver.Requests() {
		got = append(got, string(q.Body))
	}
	slices.Sort(got)
	if want := []string{`{"by":"ada@example.com","due":"2026-12-01T00:00:00Z"}`, `{"by":"bob@example.com","due":"2026-12-24T00:00:00Z"}`}; !slices.Equal(got, want) {
		t.Errorf("the receiver got %q", got)
	}
	if left := w.dovecot.Count(t, ada, "INBOX"); left != 1 {
		t.Errorf("%d mails left on the server, want the one that is dead", left)
	}
	code, out, _ := w.run("dead", "list", "-o", "json")
	if code != 0 || !strings.Contains(out, `"state": "dead"`) {
		t.Errorf("dead list: exit code %d\n%s", code, out)
	}
	id := regexp.MustCompile(`"id":"?(\w+)`).FindStringSubmatch(strings.ReplaceAll(out, " ", ""))
	if id == nil {
		t.Fatalf("no id in %s", out)
	}
	if code, out, _ := w.run("show", id[1]); code != 0 || !strings.Contains(out, "body.due") {
		t.Errorf("show says not why: exit code %d\n%s", code, out)
	}
}

func TestMalformedMailArrivesWithItsProblemsNamed(t *testing.T) {
	w := newWorld(t)
	w.fill([][]byte{
		[]byte("From: =?utf-8?q?broken\r\nTo: , ,<<x@y\r\nContent-Type: multipart/mixed\r\nDate: yesterday\r\nno colon here\r\n\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\xff\xfe\r\n"),
		[]byte("\r\n"),
		[]byte("Content-Type: text/plain; charset=klingon\r\n\r\n\xe4\xf6\xfc\r\n"),
	})
	w.mailbox("imaps", "after: delete")
	w.once(0)
	w.exactlyOnce(3)
	w.verify()
	problems := 0
	for _, r := range w.receiver.Requests() {
		if !strings.Contains(string(r.Body), `"problems":[]`) {
			problems++
		}
	}
	if problems < 2 {
		t.Errorf("problems named in %d events, want 2 at least", problems)
	}
}

func TestSecondServiceOnAStoreIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.mailbox("imaps", "after: keep")
	p := w.start("run")
	p.Stderr.Await(t, "postferry started")
	code, _, stderr := w.run("run", "--once")
	if code != 75 || !strings.Contains(stderr, "another postferry runs on this store") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	code, out, _ := w.run("status", "-o", "json")
	if code != 0 || !strings.Contains(out, `"running": true`) {
		t.Errorf("status of the first: exit code %d: %s", code, out)
	}
}

func TestDeadLettersGoWhereFailedSays(t *testing.T) {
	for _, c := range []struct {
		failed string
		check  func(t *testing.T, w *world)
	}{
		{"move:Failed", func(t *testing.T, w *world) {
			if in, out := w.dovecot.Count(t, ada, "INBOX"), w.dovecot.Count(t, ada, "Failed"); in != 0 || out != 1 {
				t.Errorf("%d mails in INBOX and %d in Failed", in, out)
			}
		}},
		{`flag:\Flagged`, func(t *testing.T, w *world) { flagged(t, w, `\Flagged`, 1) }},
	} {
		t.Run(c.failed, func(t *testing.T) {
			w := newWorld(t)
			mails := mailtest.Mix(3, 14)
			w.fill(mails)
			w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: delete", "failed: "+c.failed) + "\nsinks:\n" +
				w.sink("app", w.receiver.URL, "retry: none"))
			w.receiver.Answer(func(r *mailtest.Request) mailtest.Answer {
				if mailtest.Token(r.Body) == mailtest.Token(mails[1]) {
					return mailtest.Answer{Status: http.StatusBadRequest}
				}
				return mailtest.Answer{Status: http.StatusOK}
			})
			w.once(3, "--wait", "30s")
			c.check(t, w)
			if got := len(w.receiver.Accepted()); got != 2 {
				t.Errorf("%d mails accepted, want 2", got)
			}
		})
	}
}

func TestSettleTakenDeletesWhatIsDurableBeforeItIsDelivered(t *testing.T) {
	for _, scheme := range []string{"pop3s", "imaps"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.fill(mailtest.Mix(5, 15))
			w.mailbox(scheme, "after: delete", "settle: taken")
			w.receiver.Statuses(http.StatusServiceUnavailable)
			w.once(75, "--wait", "0s")
			if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
				t.Errorf("%d mails left on the server", left)
			}
			w.receiver.Statuses(http.StatusOK)
			w.once(0, "--wait", "30s")
			if got := len(w.receiver.Accepted()); got != 5 {
				t.Errorf("%d mails accepted, want 5", got)
			}
		})
	}
}

func TestDelayedDeletionIsNotCarriedOutBeforeItsTime(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(4, 16))
	w.mailbox("imaps", "after: delete:30d")
	w.once(0)
	w.exactlyOnce(4)
	if left := w.dovecot.Count(t, ada, "INBOX"); left != 4 {
		t.Errorf("%d mails left on the server, want 4", left)
	}
	if _, out, _ := w.run("show", "1"); !strings.Contains(out, "delete, due") {
		t.Errorf("show does not tell of the deletion to come:\n%s", out)
	}
}

func TestBackfillDecidesWhatTheFirstRunTakes(t *testing.T) {
	d := mailtest.StartDovecot(t)
	now := time.Now()
	cases := []struct {
		user, backfill string
		taken          int
	}{{"none@example.com", "none", 0}, {"week@example.com", "7d", 3}, {"all@example.com", "all", 4}}
	for _, c := range cases { // before the first sign-in: Dovecot looks for changes once a second
		d.AddUser(t, c.user, password)
	}
	for _, c := range cases {
		t.Run(c.backfill, func(t *testing.T) {
			for i, raw := range mailtest.Mix(4, 17) {
				d.AppendAt(t, c.user, "INBOX", now.Add(-time.Duration(i)*72*time.Hour), raw)
			}
			w := &world{t: t, dovecot: d, receiver: mailtest.NewReceiver(t), binary: mailtest.BuildBinary(t), dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			w.write("mailboxes:\n" + w.box("inbox", "imaps", c.user, "after: keep", "backfill: "+c.backfill) + "\nsinks:\n" + w.sink("app", w.receiver.URL))
			if stderr := w.once(0); !strings.Contains(stderr, "baseline written") {
				t.Error("the baseline is not told of")
			}
			if got := len(w.receiver.Accepted()); got != c.taken {
				t.Errorf("%d mails taken, want %d", got, c.taken)
			}
			d.Append(t, c.user, "INBOX", []byte("Subject: new\r\n\r\nnew\r\n"))
			w.once(0)
			if got := len(w.receiver.Accepted()); got != c.taken+1 {
				t.Errorf("%d mails after one came, want %d", got, c.taken+1)
			}
		})
	}
}
