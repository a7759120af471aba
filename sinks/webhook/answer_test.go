package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

type verdict string

const (
	delivered verdict = "delivered"
	temporary verdict = "temporary"
	sinkFault verdict = "the sink's fault"
	mailFault verdict = "the mail's fault"
)

func verdictOf(err error) verdict {
	switch {
	case err == nil:
		return delivered
	case sinks.IsSinkFault(err):
		return sinkFault
	case sinks.IsMailFault(err):
		return mailFault
	case sinks.IsPermanent(err):
		return "permanent"
	}
	return temporary
}

func TestEveryStatusHasItsVerdict(t *testing.T) {
	want := func(code int) verdict {
		switch code {
		case 401, 402, 403, 404, 405, 407, 410, 421:
			return sinkFault
		case 400, 406, 413, 415, 422:
			return mailFault
		}
		if code >= 200 && code <= 299 {
			return delivered
		}
		return temporary
	}
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL}, sinks.Env{})
	for code := 200; code <= 599; code++ {
		r.Answer(func(*mailtest.Request) mailtest.Answer {
			return mailtest.Answer{Status: code, Header: http.Header{"Location": {"/elsewhere"}}}
		})
		before := r.Count()
		receipt, err := deliver(t, s)
		if got := verdictOf(err); got != want(code) {
			t.Errorf("%d is %s: %v", code, got, err)
		}
		if n := r.Count() - before; n != 1 {
			t.Errorf("%d led to %d requests", code, n)
		}
		var answered *sinks.AttemptError
		switch {
		case err == nil && receipt.Detail != fmt.Sprint(code):
			t.Errorf("%d has the receipt %+v", code, receipt)
		case err != nil && (!errors.As(err, &answered) || answered.Detail != fmt.Sprint(code) || !strings.Contains(err.Error(), fmt.Sprint(code))):
			t.Errorf("%d has the error %v", code, err)
		}
	}
}

func TestOperatorErrorsEndWithWhatToChange(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL}, sinks.Env{})
	for code, want := range map[int]string{
		302: "redirects are not followed", 401: "check the sink's secret", 403: "check the sink's secret", 404: "check the sink's url",
		405: "url and method", 407: "proxy", 410: "wants no more mail", 413: "attachments: metadata",
	} {
		r.Statuses(code)
		if _, err := deliver(t, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestGoneHoldsTheSinkForADay(t *testing.T) {
	r := mailtest.NewReceiver(t)
	r.Statuses(410)
	_, err := deliver(t, makeSink(t, Options{URL: r.URL}, sinks.Env{}))
	if wait, _ := sinks.RetryAfterOf(err); !sinks.IsSinkFault(err) || wait != 24*time.Hour {
		t.Errorf("%v, to be tried again after %s", err, wait)
	}
}

func TestRetryAfterIsHeededWithinBounds(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"", 0, false},
		{"120", 2 * time.Minute, true},
		{" 120 ", 2 * time.Minute, true},
		{"0", time.Second, true},
		{"-5", time.Second, true},
		{"86400", 24 * time.Hour, true},
		{"86401", 24 * time.Hour, true},
		{"315360000", 24 * time.Hour, true},
		{"99999999999999999999999999", 24 * time.Hour, true},
		{"-99999999999999999999999999", time.Second, true},
		{"9223372036854775807", 24 * time.Hour, true},
		{"1.5", 0, false},
		{"soon", 0, false},
		{"120 seconds", 0, false},
		{"\x00", 0, false},
		{"Mon, 23 Nov 2026 12:30:00 GMT", 30 * time.Minute, true},
		{"Monday, 23-Nov-26 12:30:00 GMT", 30 * time.Minute, true},
		{"Mon Nov 23 12:30:00 2026", 30 * time.Minute, true},
		{"Mon, 23 Nov 2026 11:00:00 GMT", time.Second, true},
		{"Sun, 23 Nov 2036 12:00:00 GMT", 24 * time.Hour, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", 24 * time.Hour, true},
	} {
		if got, ok := retryAfter(c.value, now); got != c.want || ok != c.ok {
			t.Errorf("%q is %s, %v", c.value, got, ok)
		}
	}
}

// vendor is a format whose receivers end a delivery with 403.
type vendor struct{ payload.Format }

func (vendor) Stops(status int) bool { return status == http.StatusForbidden }

func TestAStatusThatEndsADeliveryInTheFormatMakesADeadLetter(t *testing.T) {
	native, err := payload.Lookup("native")
	if err != nil {
		t.Fatal(err)
	}
	r := mailtest.NewReceiver(t)
	s, err := New("app", Options{URL: r.URL}, payload.Renderer{Format: vendor{native}}, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for code, ends := range map[int]bool{403: true, 401: false, 422: false, 500: false} {
		r.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: code} })
		if _, err := deliver(t, s); err == nil || sinks.IsPermanent(err) != ends {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestRetryAfterCountsWithEveryFailure(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL}, sinks.Env{})
	for _, code := range []int{301, 401, 422, 429, 503} {
		r.Answer(func(*mailtest.Request) mailtest.Answer {
			return mailtest.Answer{Status: code, Header: http.Header{"Retry-After": {"90"}}}
		})
		_, err := deliver(t, s)
		if wait, ok := sinks.RetryAfterOf(err); !ok || wait != 90*time.Second {
			t.Errorf("%d: %s, %v", code, wait, err)
		}
	}
}

func TestTheAnswerIsKeptEscapedAndWithoutSecrets(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{
		URL: r.URL + "/services/path-token-0123456789?key=secret-in-query", Bearer: secret.New("bearer-token-1"),
		Headers: map[string]secret.Secret{"X-Key": secret.New("Token {{ mailbox.name }} header-value-2")},
	}, sinks.Env{})
	for _, c := range []struct{ name, body, want string }{
		{"plain", "queued as 7", "queued as 7"},
		{"control characters", "a\r\nb\x1b[31m", `a\r\nb\x1b[31m`},
		{"secrets", "got Bearer bearer-token-1 and secret-in-query", "got *** and ***"},
		{"what may be one in the path", "cannot POST /services/path-token-0123456789", "cannot POST /services/***"},
		{"one beside a hole", "header-value-2, said for support", "***, said for support"},
		{"long", strings.Repeat("y", 100_000), strings.Repeat("y", 512) + "…"},
	} {
		r.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: 200, Body: c.body} })
		receipt, err := deliver(t, s)
		got := strings.ReplaceAll(receipt.Answer, secret.Masked, "***")
		if err != nil || got != c.want {
			t.Errorf("%s: %.80q, %v", c.name, got, err)
		}
	}
}

// Wherever the beginning of the answer that is looked at ends, no half of a
// secret is left.
func TestNoHalfOfASecretIsKept(t *testing.T) {
	r := mailtest.NewReceiver(t)
	// Long, so that what is left of the answer is short enough to be kept whole.
	const token = "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz"
	s := makeSink(t, Options{URL: r.URL, Bearer: secret.New(token)}, sinks.Env{})
	for shift := range len(token) {
		body := strings.Repeat(".", shift) + strings.Repeat(token, 2*keptAnswer/len(token))
		r.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: 500, Body: body} })
		_, err := deliver(t, s)
		var answered *sinks.AttemptError
		if !errors.As(err, &answered) || strings.Contains(answered.Answer, "abcd") || answered.Answer == "" {
			t.Fatalf("shifted by %d: %v %q", shift, err, answered.Answer)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "120", "-1", "Mon, 23 Nov 2026 12:30:00 GMT", "99999999999999999999", "0x10", "1e9"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		wait, ok := retryAfter(value, now)
		if ok && (wait < time.Second || wait > 24*time.Hour) || !ok && wait != 0 {
			t.Fatalf("%q is %s, %v", value, wait, ok)
		}
	})
}
