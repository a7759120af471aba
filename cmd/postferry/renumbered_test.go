package main_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
)

// TestARenumberedMailboxDeliversWhatIsNewAndNothingAgain rebuilds the server's
// index, so that every UID and unique-id is another; with POSTFERRY_SOAK in a
// mailbox of 10,000 mails.
func TestARenumberedMailboxDeliversWhatIsNewAndNothingAgain(t *testing.T) {
	there, taken, news := 150, 50, 10
	if os.Getenv("POSTFERRY_SOAK") != "" {
		there, taken, news = 5000, 5000, 100
	}
	for _, scheme := range []string{"pop3s", "imaps"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.mailbox(scheme, "after: keep", "backfill: none")
			w.fill(mailtest.Mix(there, 61))
			for range there/500 + 1 { // each reads the heads of 500
				w.once(0)
			}
			w.fill(mailtest.Mix(taken, 62))
			w.once(0)
			w.exactlyOnce(taken)
			before := len(w.receiver.Accepted())

			w.dovecot.ResetUIDs(t, ada, "INBOX")
			w.fill(mailtest.Mix(news, 63))
			said := w.once(0)
			if got := len(w.receiver.Accepted()) - before; got != news {
				t.Errorf("%d mails were delivered after the reset, want %d", got, news)
			}
			if !strings.Contains(said, `"recognised":`+strconv.Itoa(there+taken)) {
				t.Errorf("the reset is not told of: %s", said)
			}
			w.exactlyOnce(taken + news)
			w.once(0)
			w.exactlyOnce(taken + news)
		})
	}
}
