package webhook

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// formatted makes a sink with a format with nothing set.
func formatted(t *testing.T, to, format string, e sinks.Env) *Sink {
	t.Helper()
	r, err := payload.NewRenderer(format, payload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if signer, ok := r.Format.(payload.Signer); ok {
		signer.UseTestKey()
	}
	s, err := New("app", Options{URL: to}, r, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// What the vendor's receivers stop a delivery with makes a dead letter, other
// statuses keep their rows of the table.
func TestTheVendorsStatusesEndADelivery(t *testing.T) {
	r := mailtest.NewReceiver(t)
	for format, stop := range map[string]int{"postmark": 403, "mailgun": 406, "cloudmailin": 404} {
		s := formatted(t, r.URL, format, sinks.Env{})
		for _, status := range []int{stop, 401, 429, 500} {
			r.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: status} })
			if _, err := deliver(t, s); err == nil || sinks.IsPermanent(err) != (status == stop) {
				t.Errorf("%s, %d: %v", format, status, err)
			}
		}
	}
}

// Receivers refuse a signature of two minutes ago: it is of the attempt, not of
// the mail.
func TestAFormThatIsSignedIsSignedAtTheAttempt(t *testing.T) {
	r := mailtest.NewReceiver(t)
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	fake := clock.NewFake(now)
	s := formatted(t, r.URL, "mailgun", sinks.Env{Clock: fake})
	seen := map[string]bool{}
	for range 2 {
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, "Subject: s\r\n\r\nt")); err != nil {
			t.Fatal(err)
		}
		requests := r.Requests()
		form, err := url.ParseQuery(string(requests[len(requests)-1].Body))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := form.Get("timestamp"), strconv.FormatInt(fake.Now().Unix(), 10); got != want {
			t.Errorf("the timestamp is %s, not %s", got, want)
		}
		seen[form.Get("token")+form.Get("signature")] = true
		fake.Advance(time.Hour)
	}
	if len(seen) != 2 {
		t.Error("both attempts have the same token")
	}
}
