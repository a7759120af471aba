package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// thousand are 1,000 mails, as many of them real ones as there are.
func thousand(t testing.TB) [][]byte {
	t.Helper()
	real := mailtest.Corpus(t)
	if len(real) < 300 {
		t.Fatalf("only %d real mails in the corpus, want at least 300", len(real))
	}
	real = real[:min(len(real), 900)]
	return append(real, mailtest.Mix(1000-len(real), 7)...)
}

func TestThousandMailsAreDeliveredOnceAndDeleted(t *testing.T) {
	mails := thousand(t)
	for _, scheme := range []string{"pop3s", "imaps"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.fill(mails)
			stored := sums(sentBy(scheme, w.dovecot.Stored(t, ada, "INBOX")))
			w.mailbox(scheme, "after: delete")
			w.once(0)
			w.exactlyOnce(len(mails))
			w.verify()
			if got := w.spooled(); !maps.Equal(got, stored) {
				t.Errorf("the store holds %d different mails, the server held %d, or they differ", len(got), len(stored))
			}
			if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
				t.Errorf("%d mails left on the server", left)
			}
			w.once(0)
			w.exactlyOnce(len(mails))
		})
	}
}

// sentBy are mails as the protocol sends them: the end of a POP3 reply begins
// with CRLF, so a mail without a line end at its end gains one (RFC 1939,
// section 3).
func sentBy(scheme string, mails [][]byte) [][]byte {
	if strings.HasPrefix(scheme, "imap") {
		return mails
	}
	sent := slices.Clone(mails)
	for i, raw := range sent {
		if !bytes.HasSuffix(raw, []byte("\r\n")) {
			sent[i] = append(slices.Clip(raw), "\r\n"...)
		}
	}
	return sent
}

func TestKeepLeavesTheMailboxUntouchedAndDeliversNothingTwice(t *testing.T) {
	mails := mailtest.Corpus(t)[:60]
	for _, scheme := range []string{"pop3s", "imaps", "pop3", "imap"} { // the last two by STLS and STARTTLS
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.fill(mails)
			before, flags := w.dovecot.Stored(t, ada, "INBOX"), w.dovecot.Flags(t, ada, "INBOX")
			w.mailbox(scheme, "after: keep")
			w.once(0)
			w.exactlyOnce(len(mails))
			w.verify()
			w.once(0)
			w.exactlyOnce(len(mails))
			after := w.dovecot.Stored(t, ada, "INBOX")
			if !slices.EqualFunc(before, after, slices.Equal) {
				t.Errorf("%d mails on the server before, %d after, or they differ", len(before), len(after))
			}
			// Dovecot itself marks as \Seen what POP3 clients retrieve.
			if got := w.dovecot.Flags(t, ada, "INBOX"); strings.HasPrefix(scheme, "imap") && !maps.EqualFunc(got, flags, slices.Equal) {
				t.Error("flags on the server have changed")
			}
		})
	}
}

func TestSeenAndMoveAndFlagHappenAfterDelivery(t *testing.T) {
	mails := mailtest.Mix(20, 3)
	for _, c := range []struct {
		after string
		check func(t *testing.T, w *world)
		idle  func(t *testing.T, w *world) // while nothing is delivered
	}{
		{"seen", func(t *testing.T, w *world) { flagged(t, w, `\Seen`, len(mails)) }, func(t *testing.T, w *world) { flagged(t, w, `\Seen`, 0) }},
		{"flag:$Ferried", func(t *testing.T, w *world) { flagged(t, w, `$Ferried`, len(mails)) }, func(t *testing.T, w *world) { flagged(t, w, `$Ferried`, 0) }},
		{"move:Processed", func(t *testing.T, w *world) {
			if in, out := w.dovecot.Count(t, ada, "INBOX"), w.dovecot.Count(t, ada, "Processed"); in != 0 || out != len(mails) {
				t.Errorf("%d mails in INBOX and %d in Processed", in, out)
			}
			if got := sums(w.dovecot.Stored(t, ada, "Processed")); !maps.Equal(got, sums(mails)) {
				t.Error("other mails were moved than were there")
			}
		}, func(t *testing.T, w *world) {
			if in := w.dovecot.Count(t, ada, "INBOX"); in != len(mails) {
				t.Errorf("%d mails in INBOX before anything was delivered", in)
			}
		}},
	} {
		t.Run(c.after, func(t *testing.T) {
			w := newWorld(t)
			w.fill(mails)
			w.mailbox("imaps", "after: "+c.after)
			w.receiver.Statuses(http.StatusServiceUnavailable)
			w.once(75, "--wait", "0s")
			c.idle(t, w)
			w.receiver.Statuses(http.StatusOK)
			w.once(0, "--wait", "30s")
			if got := len(w.receiver.Accepted()); got != len(mails) {
				t.Fatalf("%d mails accepted", got)
			}
			c.check(t, w)
		})
	}
}

// flagged fails unless n mails of INBOX have the flag.
func flagged(t *testing.T, w *world, flag string, n int) {
	t.Helper()
	have := 0
	for _, flags := range w.dovecot.Flags(t, ada, "INBOX") {
		if slices.Contains(flags, flag) {
			have++
		}
	}
	if have != n {
		t.Errorf("%d mails have %s, want %d", have, flag, n)
	}
}

func TestAReceiverThatIsDownForAWhileGetsEverythingAndOnlyThenIsItSettled(t *testing.T) {
	mails := mailtest.Mix(40, 5)
	for _, scheme := range []string{"pop3s", "imaps"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.fill(mails)
			w.write("mailboxes:\n" + w.box("inbox", scheme, ada, "after: delete", "settle_wait: 1s") + "\nsinks:\n" +
				w.sink("app", w.receiver.URL, "retry: {delays: [1s], every: 1s, for: 1h}"))
			w.receiver.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: http.StatusServiceUnavailable} })
			p := w.start("run")
			if err := w.receiver.WaitRequests(t.Context(), 2*len(mails)); err != nil {
				t.Fatal(err)
			}
			if left := w.dovecot.Count(t, ada, "INBOX"); left != len(mails) {
				t.Fatalf("%d mails left on the server while none was delivered", left)
			}
			w.receiver.Statuses(http.StatusOK)
			w.receiver.Wait(t, len(mails))
			w.await("an empty mailbox", func() bool { return w.dovecot.Count(t, ada, "INBOX") == 0 })
			if err := p.Signal(terminate); err != nil {
				t.Fatal(err)
			}
			if code := p.Wait(t, time.Minute); code != 0 {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			for id, n := range w.receiver.Accepted() {
				if n != 1 {
					t.Errorf("%s accepted %d times", id, n)
				}
			}
			w.verify()
		})
	}
}

// randomKills is how often the program is killed in one drain test: 10, or as
// many as POSTFERRY_KILLS says, for the long run of `make soak`.
func randomKills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("POSTFERRY_KILLS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("POSTFERRY_KILLS=%q is not a number of kills", text)
	}
	return n
}

func TestKilledAtAnyMomentOfADrainNothingIsLostAndNothingDeletedTooEarly(t *testing.T) {
	kills := randomKills(t)
	for _, scheme := range []string{"pop3s", "imaps"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.mailbox(scheme, "after: delete")
			// A receiver that takes its time, so that every kill meets deliveries under way.
			w.receiver.Answer(func(r *mailtest.Request) mailtest.Answer {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-r.Context().Done():
				}
				return mailtest.Answer{Status: http.StatusOK}
			})
			rng := rand.New(rand.NewPCG(1, uint64(len(scheme))))
			all := map[string][32]byte{} // by token
			duplicates, worst := 0, 0
			for kill := range kills {
				if w.dovecot.Count(t, ada, "INBOX") < 100 {
					more := mailtest.Mix(400, uint64(11+len(all)))
					for _, raw := range more {
						all[mailtest.Token(raw)] = sha256.Sum256(raw)
					}
					w.fill(more)
				}
				p := w.start("run")
				seen := w.receiver.Count()
				// The kill comes a random while after a random number of requests, or when
				// there are no more to wait for.
				enough, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				_ = w.receiver.WaitRequests(enough, seen+rng.IntN(30))
				cancel()
				time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
				p.Kill()
				again := w.duplicates() - duplicates
				duplicates, worst = duplicates+again, max(worst, again)
				// Some may come only after the next kill.
				if duplicates > inFlight*kill {
					t.Errorf("%d duplicates after %d kills, at most %d were in flight at each", duplicates, kill, inFlight)
				}
				if kill%50 == 49 || kill == kills-1 {
					w.conserved(all, kill)
					t.Logf("%d kills, %d mails, %d requests, %d duplicates, %d at most after one kill", kill+1, len(all), w.receiver.Count(), duplicates, worst)
				}
				if t.Failed() {
					return
				}
			}
			w.once(0)
			w.conserved(all, -1)
			if got := len(w.tokens()); got != len(all) {
				t.Errorf("%d of %d mails arrived", got, len(all))
			}
			if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
				t.Errorf("%d mails left on the server", left)
			}
			w.verify()
		})
	}
}

// duplicates is how many mails were accepted again.
func (w *world) duplicates() (n int) {
	for _, times := range w.receiver.Accepted() {
		n += times - 1
	}
	return n
}

// tokens are the accepted mails: the webhook-ids each came under.
func (w *world) tokens() map[string]map[string]bool {
	w.t.Helper()
	ids := map[string]map[string]bool{}
	for _, r := range w.receiver.Requests() {
		if r.Status/100 != 2 || r.Err != nil {
			continue
		}
		token := mailtest.Token(r.Body)
		if token == "" {
			w.t.Fatalf("request %d is none of the mails", r.N)
		}
		if ids[token] == nil {
			ids[token] = map[string]bool{}
		}
		ids[token][r.ID] = true
	}
	return ids
}

// conserved fails unless every mail is on the server or was accepted, and every
// mail that came more than once came under one id with one body.
func (w *world) conserved(all map[string][32]byte, kill int) {
	w.t.Helper()
	accepted := w.tokens()
	left := map[string]bool{}
	for _, raw := range w.dovecot.Stored(w.t, ada, "INBOX") {
		left[mailtest.Token(raw)] = true
	}
	for token := range all {
		if !left[token] && len(accepted[token]) == 0 {
			w.t.Errorf("kill %d: %s is neither on the server nor delivered", kill, token)
		}
		if len(accepted[token]) > 1 {
			w.t.Errorf("kill %d: %s came under %d ids: %s", kill, token, len(accepted[token]), strings.Join(slices.Collect(maps.Keys(accepted[token])), " "))
		}
	}
	bodies := map[string][32]byte{}
	for _, r := range w.receiver.Requests() {
		if r.Err != nil {
			continue
		}
		if first, ok := bodies[r.ID]; ok && first != r.SHA256 {
			w.t.Errorf("kill %d: %s came with two bodies", kill, r.ID)
		}
		bodies[r.ID] = r.SHA256
	}
}

// await waits until a condition holds, a minute at most.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited a minute for %s", what)
		}
	}
}
