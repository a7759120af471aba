package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
)

// A sink that is held is shown with the reason and the time of the next probe, by the
// service while it runs and from the store when it does not.
func TestStatusTellsWhyASinkIsHeldAndWhenItIsTriedAgain(t *testing.T) {
	base := newWorld(t)
	base.fill([][]byte{
		[]byte("From: bob@example.net\r\nTo: ada@example.com\r\nSubject: 1\r\nMessage-ID: <1@example.net>\r\n\r\none\r\n"),
		[]byte("From: eve@example.net\r\nTo: ada@example.com\r\nSubject: 2\r\nMessage-ID: <2@example.net>\r\n\r\ntwo\r\n"),
	})
	base.receiver.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: http.StatusUnauthorized, Body: "who are you?"}
	})
	server := smtpd.Start(t, smtpd.Options{})
	for _, c := range []struct {
		fact, sink, why string
		delivered       int
	}{
		{"the receiver refuses the sign-in", base.sink("app", base.receiver.URL, "retry: {delays: [1h], every: 1h, for: 1d, jitter: false}"), "401 Unauthorized", 0},
		{"the circuit breaker of a sink that sends mail", fmt.Sprintf(`  app: {type: smtp, server: "smtp://127.0.0.1:%s", insecure: true, action: notify, from: ada@example.com, to: [team@example.org], text: x, limits: {in_all: 1/1h}, concurrency: 1}`, server.Port),
			"circuit breaker: the sink has sent 1/h,", 1},
	} {
		t.Run(c.fact, func(t *testing.T) {
			w := &world{t: t, dovecot: base.dovecot, receiver: base.receiver, binary: base.binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: keep") + "\nsinks:\n" + c.sink + "\n")
			began := time.Now()
			p := w.start("run")
			p.Stderr.Await(t, "delivery deferred") // the sink is held before
			for _, running := range []bool{true, false} {
				if !running {
					p.Stop(t)
				}
				code, out, stderr := w.run("status", "-o", "json")
				var st admin.Status
				if err := json.Unmarshal([]byte(out), &st); err != nil || code != 0 || st.Running != running || len(st.Store.Sinks) != 1 {
					t.Fatalf("exit code %d, %v:\n%s%s", code, err, out, stderr)
				}
				s := st.Store.Sinks[0]
				if !strings.Contains(s.Held, c.why) || s.ProbeAt == nil || s.ProbeAt.Before(began.Add(50*time.Minute)) || s.ProbeAt.After(time.Now().Add(time.Hour)) {
					t.Errorf("running %v: held for %q until %v", running, s.Held, s.ProbeAt)
				}
				if s.Delivered != c.delivered || s.Dead != 0 || s.Pending+s.Deferred != 2-c.delivered {
					t.Errorf("running %v: %+v", running, s)
				}
				_, out, _ = w.run("status")
				line := regexp.MustCompile(`(?m)^app .*$`).FindString(out)
				want := "(next probe " + s.ProbeAt.Local().Format(time.DateTime) + ")"
				if !strings.Contains(line, c.why) || !strings.HasSuffix(line, want) {
					t.Errorf("running %v: %q, want %q in the end", running, line, want)
				}
			}
		})
	}
}
