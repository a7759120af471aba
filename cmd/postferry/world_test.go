package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

const (
	ada      = "ada@example.com"
	password = "correct horse"
	// hookSecret is the example of the Standard Webhooks specification.
	hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// world is a real mail server, a receiver that counts every request, and the
// built program between them, in a folder of its own.
type world struct {
	t        testing.TB
	dovecot  *mailtest.Dovecot
	receiver *mailtest.Receiver
	binary   string
	dir      string
	config   string
}

func newWorld(t testing.TB, buildFlags ...string) *world {
	t.Helper()
	w := &world{
		t: t, dovecot: mailtest.StartDovecot(t), receiver: mailtest.NewReceiver(t),
		binary: mailtest.BuildBinary(t, buildFlags...), dir: t.TempDir(),
	}
	w.dovecot.AddUser(t, ada, password)
	w.config = filepath.Join(w.dir, "postferry.yaml")
	return w
}

// mailbox writes a configuration with one mailbox and the receiver as its sink.
// more are further keys of the mailbox, one a line.
func (w *world) mailbox(scheme string, more ...string) {
	w.t.Helper()
	w.write(fmt.Sprintf("mailboxes:\n%s\nsinks:\n%s", w.box("inbox", scheme, ada, more...), w.sink("app", w.receiver.URL)))
}

// write writes the configuration.
func (w *world) write(body string) {
	w.t.Helper()
	w.writeWhole("version: 1\nlisten: \"\"\n" + body)
}

// writeWhole writes the configuration from its first line on.
func (w *world) writeWhole(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// box is a mailbox of the user, in the configuration's words. A line of more
// takes the place of the one with the same key.
func (w *world) box(name, scheme, user string, more ...string) string {
	lines := []string{
		"server: " + w.dovecot.URL(scheme),
		"username: " + user,
		"password: " + password,
		"tls: {ca_file: " + w.dovecot.CAFile + "}",
		`schedule: "@every 1s"`,
		"backfill: all",
		"deliver: [app]",
	}
	for _, line := range more {
		key, _, _ := strings.Cut(line, ":")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+":") })
		lines = append(lines, line)
	}
	return "  " + name + ":\n    " + strings.Join(lines, "\n    ")
}

func (w *world) sink(name, url string, more ...string) string {
	lines := []string{"  " + name + ":", "    type: webhook", "    url: " + url, "    secret: " + hookSecret}
	for _, line := range more {
		lines = append(lines, "    "+line)
	}
	return strings.Join(lines, "\n") + "\n"
}

// start starts the program.
func (w *world) start(args ...string) *mailtest.Proc {
	w.t.Helper()
	return mailtest.StartProc(w.t, mailtest.Command{Path: w.binary, Args: args, Dir: w.dir})
}

// run runs the program to its end and returns its exit code.
func (w *world) run(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	p := w.start(args...)
	code = p.Wait(w.t, 3*time.Minute)
	return code, p.Stdout.String(), p.Stderr.String()
}

// once runs `run --once`, which has to exit with the code.
func (w *world) once(want int, args ...string) (stderr string) {
	w.t.Helper()
	code, _, stderr := w.run(append([]string{"run", "--once"}, args...)...)
	if code != want {
		w.t.Fatalf("run --once exited with %d, want %d:\n%s", code, want, tail(stderr, 4000))
	}
	return stderr
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// fill puts mails into ada's INBOX.
func (w *world) fill(mails [][]byte) {
	w.t.Helper()
	for _, raw := range mails {
		w.dovecot.Append(w.t, ada, "INBOX", raw)
	}
}

// sums are the SHA-256 of octets, with how often each occurs.
func sums(mails [][]byte) map[[32]byte]int {
	m := map[[32]byte]int{}
	for _, raw := range mails {
		m[sha256.Sum256(raw)]++
	}
	return m
}

// spooled are the sums of all mails in the store, read from their octets.
func (w *world) spooled() map[[32]byte]int {
	w.t.Helper()
	store, err := sqlite.Open(context.Background(), filepath.Join(w.dir, "postferry.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	m := map[[32]byte]int{}
	for id := spool.ID(1); ; id++ {
		item, err := store.Item(context.Background(), id)
		if err != nil {
			return m
		}
		h := sha256.New()
		if _, err := io.Copy(h, item.Octets.Reader()); err != nil {
			w.t.Fatalf("octets of item %d: %v", id, err)
		}
		m[[32]byte(h.Sum(nil))]++
		item.Octets.Close()
	}
}

// verify checks the signature of every request with the public library.
func (w *world) verify() {
	w.t.Helper()
	verifyAll(w.t, w.receiver.Requests())
}

func verifyAll(t testing.TB, requests []mailtest.Request) {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if r.Err != nil {
			continue // it broke off, and was not accepted
		}
		if err := v.Verify(r.Body, r.Header); err != nil {
			t.Fatalf("request %d, %s: %v", r.N, r.ID, err)
		}
		if r.Status/100 == 2 && !json.Valid(r.Body) {
			t.Fatalf("request %d, %s: the body is not JSON", r.N, r.ID)
		}
	}
}

// exactlyOnce fails unless n mails were accepted, each by one request.
func (w *world) exactlyOnce(n int) {
	w.t.Helper()
	accepted := w.receiver.Accepted()
	if len(accepted) != n || w.receiver.Count() != n {
		w.t.Fatalf("%d mails accepted in %d requests, want %d in as many", len(accepted), w.receiver.Count(), n)
	}
}

// freeAddress is a loopback address nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
