package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// shownMail is what `show -o json` tells, as far as tests look.
type shownMail struct {
	ID         int
	State      string
	Erased     bool
	Deliveries []struct {
		ID, Sink, State string
		Attempts        []struct {
			Number        int
			Detail, Error string
			Answer, State string
		}
	}
}

func (w *world) decode(into any, args ...string) {
	w.t.Helper()
	code, out, stderr := w.run(append(args, "-o", "json")...)
	if code != 0 {
		w.t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		w.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

func (w *world) list(args ...string) []shownMail {
	w.t.Helper()
	var page struct{ Mails []shownMail }
	w.decode(&page, append([]string{"list"}, args...)...)
	return page.Mails
}

// TestOperatorCommands runs every command of the operator twice: on the store at
// rest, and through a running service.
func TestOperatorCommands(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			w := newWorld(t)
			mails := mailtest.Mix(4, 21)
			w.fill(mails)
			w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: delete") + "\nsinks:\n" +
				w.sink("app", w.receiver.URL, "retry: {delays: [1s], every: 1s, for: 20s}"))
			refused := mailtest.Token(mails[0])
			w.receiver.Answer(func(r *mailtest.Request) mailtest.Answer {
				if mailtest.Token(r.Body) == refused {
					return mailtest.Answer{Status: http.StatusUnprocessableEntity, Body: "no such ticket\x1b[2J"}
				}
				return mailtest.Answer{Status: http.StatusOK}
			})
			w.once(3, "--wait", "30s")
			w.receiver.Statuses(http.StatusOK)
			var p *mailtest.Proc
			if running {
				p = w.start("run")
				p.Stderr.Await(t, "postferry started")
			}
			deliver := func() {
				if !running {
					w.once(0, "--wait", "5s")
				}
			}

			all := w.list()
			if len(all) != 4 {
				t.Fatalf("list tells of %d mails, want 4", len(all))
			}
			dead := w.list("--state", "dead")
			if len(dead) != 1 || dead[0].State != "dead" {
				t.Fatalf("dead mails %+v, want one", dead)
			}
			var m shownMail
			w.decode(&m, "show", fmt.Sprint(dead[0].ID))
			if len(m.Deliveries) != 1 || len(m.Deliveries[0].Attempts) != 3 {
				t.Fatalf("show tells %+v, want three attempts of one delivery", m)
			}
			for i, a := range m.Deliveries[0].Attempts {
				if a.Number != i+1 || a.Detail != "422" || !strings.Contains(a.Answer, "no such ticket") || strings.Contains(a.Answer, "\x1b") || a.Error == "" {
					t.Errorf("attempt %+v", a)
				}
			}
			id := m.Deliveries[0].ID
			if code, out, _ := w.run("dead", "list"); code != 0 || !strings.Contains(out, fmt.Sprint(dead[0].ID)) {
				t.Errorf("dead list: exit code %d: %s", code, out)
			}
			if code, out, _ := w.run("show", "--raw", id); code != 0 || out != string(mails[0]) {
				t.Errorf("show --raw: exit code %d, %d octets of %d", code, len(out), len(mails[0]))
			}

			if code, out, stderr := w.run("dead", "retry", id); code != 0 || out != "1 delivery tried again\n" {
				t.Fatalf("dead retry: exit code %d: %s%s", code, out, stderr)
			}
			deliver()
			w.receiver.Wait(t, 4)
			if ids := slices.Collect(maps.Keys(w.receiver.Accepted())); !slices.Contains(ids, id) {
				t.Errorf("the dead letter came under another id than %s", id)
			}
			w.await("no dead letter", func() bool { return len(w.list("--state", "dead")) == 0 })

			before := w.receiver.Count()
			if code, out, stderr := w.run("replay", id, fmt.Sprint(all[0].ID)); code != 0 || out != "2 deliveries made due again\n" {
				t.Fatalf("replay: exit code %d: %s%s", code, out, stderr)
			}
			deliver()
			if err := w.receiver.WaitRequests(t.Context(), before+2); err != nil {
				t.Fatal(err)
			}
			if got := len(w.receiver.Accepted()); got != 4 {
				t.Errorf("after the replay %d ids were seen, want 4 as before", got)
			}
			w.verify()
			w.await("all delivered", func() bool { return len(w.list("--state", "delivered")) == 4 })

			other := mailtest.NewReceiver(t)
			if code, out, stderr := w.run("replay", id, "--to", other.URL+"/elsewhere"); code != 0 || !strings.HasPrefix(out, "1 delivery sent to http://127.0.0.1") {
				t.Fatalf("replay --to: exit code %d: %s%s", code, out, stderr)
			}
			first := w.receiver.Requests()[slices.IndexFunc(w.receiver.Requests(), func(r mailtest.Request) bool { return r.ID == id })]
			if got := other.Requests(); len(got) != 1 || got[0].ID != id || got[0].SHA256 != first.SHA256 || got[0].URL != "/elsewhere" {
				t.Errorf("replay --to sent %+v, want %s with the body it had", got, id)
			}
			verifyAll(t, other.Requests())
			other.Statuses(http.StatusServiceUnavailable)
			code, out, _ := w.run("replay", id, "--to", other.URL, "-o", "json")
			var answer struct {
				Deliveries int
				Error      string
			}
			if err := json.Unmarshal([]byte(out), &answer); code != 75 || err != nil || answer.Deliveries != 0 || !strings.Contains(answer.Error, "503") {
				t.Errorf("replay --to a receiver that refuses: exit code %d, error %v: %s", code, err, out)
			}

			if code, out, stderr := w.run("forget", fmt.Sprint(all[0].ID)); code != 0 || out != "1 mail erased\n" {
				t.Fatalf("forget: exit code %d: %s%s", code, out, stderr)
			}
			if code, out, stderr := w.run("forget", "inbox@example.com"); code != 0 || out != "3 mails erased\n" {
				t.Fatalf("forget by address: exit code %d: %s%s", code, out, stderr)
			}
			if code, _, stderr := w.run("show", "--raw", fmt.Sprint(all[1].ID)); code != 65 {
				t.Errorf("an erased mail was shown: exit code %d: %s", code, stderr)
			}
			if code, _, stderr := w.run("dead", "drop", "999"); code != 65 || !strings.Contains(stderr, "no such") {
				t.Errorf("drop of nothing: exit code %d: %s", code, stderr)
			}
			if code, out, stderr := w.run("dead", "drop", "--all"); code != 0 || out != "0 deliveries dropped\n" {
				t.Errorf("drop --all: exit code %d: %s%s", code, out, stderr)
			}
			if running {
				if err := p.Signal(terminate); err != nil {
					t.Fatal(err)
				}
				p.Wait(t, time.Minute)
			}
			w.once(0)
			if got := len(w.receiver.Accepted()); got != 4 {
				t.Errorf("a forgotten mail was taken again: %d ids", got)
			}
		})
	}
}

func TestDryRunShowsWhatWouldBeSentAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	mails := mailtest.Mix(6, 31)
	w.fill(mails)
	before, flags := w.dovecot.Stored(t, ada, "INBOX"), w.dovecot.Flags(t, ada, "INBOX")
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: delete", "deliver: [app, lines]") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL) + "  lines: {type: file, path: out.jsonl}\n")
	for _, c := range []struct {
		args  []string
		shown int
	}{
		{nil, 12}, {[]string{"--limit", "2"}, 4},
	} {
		code, out, stderr := w.run(append([]string{"run", "--dry-run"}, c.args...)...)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if got := strings.Count(out, "\n"); got != c.shown {
			t.Errorf("%v: %d requests shown, want %d", c.args, got, c.shown)
		}
		if strings.Contains(out, hookSecret) {
			t.Error("the secret is shown")
		}
	}
	if n := w.receiver.Count(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if got := w.dovecot.Stored(t, ada, "INBOX"); !slices.EqualFunc(got, before, slices.Equal) {
		t.Errorf("%d mails on the server, before %d", len(got), len(before))
	}
	if got := w.dovecot.Flags(t, ada, "INBOX"); !maps.EqualFunc(got, flags, slices.Equal) {
		t.Error("flags have changed")
	}
	if left := w.files(); !slices.Equal(left, []string{"postferry.yaml"}) {
		t.Errorf("left behind: %v", left)
	}

	w.once(0, "--limit", "4")
	if got := len(w.receiver.Accepted()); got != 4 {
		t.Errorf("--limit 4 delivered %d mails", got)
	}
	code, out, stderr := w.run("run", "--dry-run")
	if code != 0 || strings.Count(out, "\n") != 4 {
		t.Errorf("exit code %d, %d requests for the two mails left: %s", code, strings.Count(out, "\n"), stderr)
	}
	w.once(0)
	w.exactlyOnce(6)
}

// files are the names in the world's folder.
func (w *world) files() []string {
	w.t.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
