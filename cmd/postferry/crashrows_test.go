package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
)

// inFlight is how many deliveries of a sink may be claimed at once: two for each
// of its four slots, one being delivered while the other is being recorded.
const inFlight = 8

func TestInAFanOutOnlyTheSinkThatHasNotAcceptedIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(6, 41))
	other := mailtest.NewReceiver(t)
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "after: delete", "deliver: [app, other]") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL) + w.sink("other", other.URL))
	block := make(chan struct{})
	other.Answer(func(r *mailtest.Request) mailtest.Answer {
		select {
		case <-block:
		case <-r.Context().Done():
		}
		return mailtest.Answer{Status: http.StatusOK}
	})
	p := w.start("run")
	w.receiver.Wait(t, 6)
	w.await("records of the first sink", func() bool { return len(w.list("--sink", "app")) == 6 && w.delivered("app") == 6 })
	p.Kill()
	close(block)
	w.once(0)
	w.exactlyOnce(6)
	if got := len(other.Accepted()); got != 6 {
		t.Errorf("the other sink accepted %d mails", got)
	}
	if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
		t.Errorf("%d mails left on the server", left)
	}
}

// delivered counts what a sink has accepted, as status tells.
func (w *world) delivered(sink string) int {
	w.t.Helper()
	var st struct {
		Spool struct {
			Sinks []struct {
				Sink      string
				Delivered int
			}
		}
	}
	w.decode(&st, "status")
	for _, s := range st.Spool.Sinks {
		if s.Sink == sink {
			return s.Delivered
		}
	}
	return 0
}

func TestWithTheStoreLostWhatWasNotDeliveredComesAgainUnderTheSameIDs(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(12, 42))
	w.mailbox("imaps", "after: delete")
	w.receiver.Statuses(http.StatusServiceUnavailable)
	w.once(75, "--wait", "0s")
	before := w.receiver.IDs()
	for _, name := range w.files() {
		if strings.HasPrefix(name, "postferry.db") {
			if err := os.RemoveAll(filepath.Join(w.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.receiver.Statuses(http.StatusOK)
	if stderr := w.once(0); !strings.Contains(stderr, "the store is new") {
		t.Error("the lost store is not told of")
	}
	if after := w.receiver.IDs(); strings.Join(after, " ") != strings.Join(before, " ") || len(w.receiver.Accepted()) != 12 {
		t.Errorf("%d ids before, %d after, %d accepted", len(before), len(after), len(w.receiver.Accepted()))
	}
}

func TestMailThatNoRouteTakesIsShownAndStaysOnTheServer(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(3, 43))
	w.mailbox("imaps", "after: delete", `deliver: [{to: app, when: 'has(message.subject, "nothing like it")'}]`)
	w.once(0)
	if n := w.receiver.Count(); n != 0 {
		t.Errorf("%d requests", n)
	}
	if left := w.dovecot.Count(t, ada, "INBOX"); left != 3 {
		t.Errorf("%d mails left on the server, want 3", left)
	}
	if got := w.list("--state", "unrouted"); len(got) != 3 {
		t.Errorf("%d unrouted mails are shown, want 3", len(got))
	}
	if _, out, _ := w.run("status"); !strings.Contains(out, "UNROUTED") {
		t.Errorf("status: %s", out)
	}
}
