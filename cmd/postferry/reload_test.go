package main_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

func TestReloadReconnectsOnlyWhatChanged(t *testing.T) {
	w := newWorld(t)
	w.dovecot.AddUser(t, "grace@example.com", password)
	second := mailtest.NewReceiver(t)
	config := func(graceTo string) {
		w.write("mailboxes:\n" + w.box("ada", "imaps", ada, "after: keep", `schedule: "@every 1h"`) + "\n" +
			w.box("grace", "imaps", "grace@example.com", "after: keep", `schedule: "@every 1h"`, "deliver: ["+graceTo+"]") +
			"\nsinks:\n" + w.sink("app", w.receiver.URL) + w.sink("other", second.URL))
	}
	config("app")
	p := w.start("run")
	logins := func(user string) int { return strings.Count(w.dovecot.Log(), "Login: user=<"+user+">") }
	w.await("both sign-ins", func() bool { return logins(ada) == 1 && logins("grace@example.com") == 1 })
	w.dovecot.Append(t, "grace@example.com", "INBOX", mailtest.Mix(1, 1)[0])
	w.receiver.Wait(t, 1)

	config("other")
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.Stderr.Await(t, "configuration reloaded")
	w.dovecot.Append(t, "grace@example.com", "INBOX", mailtest.Mix(2, 2)[1])
	second.Wait(t, 1)
	w.dovecot.Append(t, ada, "INBOX", mailtest.Mix(1, 3)[0])
	w.receiver.Wait(t, 2)
	if a, g := logins(ada), logins("grace@example.com"); a != 1 || g != 2 {
		t.Errorf("%d sign-ins of the mailbox that stayed as it was, want 1; %d of the one that changed, want 2", a, g)
	}

	w.write("quota: 2GB\nmailboxes:\n" + w.box("ada", "imaps", ada) + "\nsinks:\n" + w.sink("app", w.receiver.URL))
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.Stderr.Await(t, "quota was 0 and is now 2GB: restart postferry to change it")
	w.write("mailboxes:\n  ada: {server: nonsense}\n")
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.Stderr.Await(t, "the old configuration stays in force")
	w.dovecot.Append(t, ada, "INBOX", mailtest.Mix(2, 4)[1])
	w.receiver.Wait(t, 3)
	if err := p.Signal(terminate); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

func TestSigtermLetsDeliveriesUnderWayEnd(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(8, 1))
	w.mailbox("imaps", "after: delete")
	release := make(chan struct{})
	w.receiver.Answer(func(r *mailtest.Request) mailtest.Answer {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return mailtest.Answer{Status: http.StatusOK}
	})
	p := w.start("run")
	if err := w.receiver.WaitRequests(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(terminate); err != nil {
		t.Fatal(err)
	}
	close(release)
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.once(0)
	w.exactlyOnce(8)
	if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
		t.Errorf("%d mails left on the server", left)
	}
}

func TestHealthIsServedWhileItRuns(t *testing.T) {
	w := newWorld(t)
	w.mailbox("imaps", "after: keep")
	address := freeAddress(t)
	p := w.start("run", "--listen", address)
	p.Stderr.Await(t, "postferry started")
	resp, err := http.Get("http://" + address + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/livez answers %s", resp.Status)
	}
}

func TestTailShowsWhatTheServiceDoes(t *testing.T) {
	w := newWorld(t)
	w.mailbox("imaps", "after: keep")
	p := w.start("run")
	p.Stderr.Await(t, "postferry started")
	follow := w.start("tail", "-o", "json")
	// A mail is seen by a follower that was there before it: one is sent again
	// until the follower has seen one.
	for n := 0; !strings.Contains(follow.Stdout.String(), `"what":"delivered"`); n++ {
		if n == 60 {
			t.Fatalf("nothing was shown: %s %s", follow.Stdout, follow.Stderr)
		}
		w.dovecot.Append(t, ada, "INBOX", mailtest.Mix(100, 5)[n])
		w.receiver.Wait(t, n+1)
		time.Sleep(50 * time.Millisecond)
	}
	if err := p.Signal(terminate); err != nil {
		t.Fatal(err)
	}
	if code := follow.Wait(t, time.Minute); code != 0 {
		t.Errorf("tail ended with %d when the service stopped: %s", code, follow.Stderr)
	}
}
