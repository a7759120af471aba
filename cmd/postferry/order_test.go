//go:build !race

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// orderedMails are n mails in three threads; the subject says thread and place.
func orderedMails(n int) (mails [][]byte) {
	for i := range n {
		thread, place := i%3, i/3
		mails = append(mails, fmt.Appendf(nil, "From: ada@customer.example\r\nTo: support@example.com\r\nMessage-ID: <%d.%d@customer.example>\r\nReferences: <thread%d@customer.example>\r\n"+
			"Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nSubject: thread %d mail %d\r\n\r\n%s\r\n", thread, place, thread, thread, place, strings.Repeat("Still nothing here. ", 1+i*37%50)))
	}
	return mails
}

// inOrder watches what a receiver accepts.
type inOrder struct {
	mu       sync.Mutex
	random   *rand.Rand
	accepted [3]int // how many of each thread, in order
	wrong    []string
	refused  int
}

// answer fails a third of the requests. It takes some time over each, and none that
// its client has given up.
func (o *inOrder) answer(r *mailtest.Request) mailtest.Answer {
	var event struct {
		Data struct{ Message struct{ Subject string } }
	}
	var thread, place int
	if err := json.Unmarshal(r.Body, &event); err == nil {
		_, _ = fmt.Sscanf(event.Data.Message.Subject, "thread %d mail %d", &thread, &place)
	}
	o.mu.Lock()
	took, fails := time.Duration(o.random.IntN(8))*time.Millisecond, o.random.IntN(3) == 0
	if place > o.accepted[thread] {
		o.wrong = append(o.wrong, fmt.Sprintf("request %d is mail %d of thread %d, of which %d were accepted", r.N, place, thread, o.accepted[thread]))
	}
	o.mu.Unlock()
	select {
	case <-time.After(took):
	case <-r.Context().Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if fails {
		o.refused++
		return mailtest.Answer{Status: http.StatusServiceUnavailable}
	}
	o.accepted[thread] = max(o.accepted[thread], place+1)
	return mailtest.Answer{Status: http.StatusOK}
}

// The receiver fails a third of the requests, and the program is killed, ten times.
// No mail is even tried before the one before it in its thread was accepted.
func TestKilledWhileItKeepsAnOrderItKeepsIt(t *testing.T) {
	const mails = 60
	for _, scheme := range []string{"imap", "pop3"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.write("mailboxes:\n" + w.box("inbox", scheme, ada, "after: delete", "insecure: true") + "\nsinks:\n" +
				w.sink("app", w.receiver.URL, "order: thread", "retry: {delays: [20ms, 20ms], every: 1s, for: 1h, jitter: false}"))
			w.fill(orderedMails(mails))
			o := &inOrder{random: rand.New(rand.NewPCG(4, 2))}
			w.receiver.Answer(o.answer)
			kills := rand.New(rand.NewPCG(4, 3))
			for range 10 {
				p := w.start("run")
				seen := w.receiver.Count()
				enough, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				_ = w.receiver.WaitRequests(enough, seen+1+kills.IntN(8))
				cancel()
				p.Kill()
			}
			w.once(0)
			for thread, n := range o.accepted {
				if n != mails/3 {
					t.Errorf("%d mails of thread %d were accepted", n, thread)
				}
			}
			if o.refused < 10 {
				t.Errorf("only %d requests were refused", o.refused)
			}
			for _, wrong := range o.wrong {
				t.Error(wrong)
			}
			if got := len(w.receiver.Accepted()); got != mails {
				t.Errorf("%d mails were accepted", got)
			}
			if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
				t.Errorf("%d mails left on the server", left)
			}
			w.verify()
			t.Logf("%d requests, %d of them refused", w.receiver.Count(), o.refused)
		})
	}
}
