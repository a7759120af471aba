package demo

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// signed is a request as a sender with that secret makes it.
func signed(t *testing.T, url, secret, body string, at time.Time) *http.Request {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign("msg_1", at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("webhook-id", "msg_1")
	q.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	q.Header.Set("webhook-signature", signature)
	return q
}

// status sends the request on a connection of its own.
func status(t *testing.T, q *http.Request) int {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestReceiverVerifiesSignatures(t *testing.T) {
	var events []Event
	w := start(t, Options{Receive: func(e Event) error { events = append(events, e); return nil }})
	secret := w.HookSecret.Reveal()
	const body = `{"id":"msg_1"}`
	other := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct {
		fact   string
		change func(*http.Request) *http.Request
		status int
	}{
		{"a right signature", func(q *http.Request) *http.Request { return q }, 204},
		{"the right one of two, while a secret rotates", func(q *http.Request) *http.Request {
			q.Header.Set("webhook-signature", "v1,bm8= "+q.Header.Get("webhook-signature"))
			return q
		}, 204},
		{"another secret", func(*http.Request) *http.Request { return signed(t, w.HookURL, other, body, time.Now()) }, 401},
		{"an old timestamp", func(*http.Request) *http.Request {
			return signed(t, w.HookURL, secret, body, time.Now().Add(-10*time.Minute))
		}, 401},
		{"another id", func(q *http.Request) *http.Request { q.Header.Set("webhook-id", "msg_2"); return q }, 401},
		{"no signature", func(q *http.Request) *http.Request { q.Header.Del("webhook-signature"); return q }, 401},
	} {
		events = nil
		got := status(t, c.change(signed(t, w.HookURL, secret, body, time.Now())))
		if got != c.status || len(events) != 1 || string(events[0].Body) != body || (events[0].Forged == nil) != (c.status == 204) {
			t.Errorf("%s: status %d, want %d; events %+v", c.fact, got, c.status, events)
		}
	}
}

func TestReceiverAnswersOnlyPostsToItsPath(t *testing.T) {
	w := start(t, Options{Receive: func(e Event) error { t.Errorf("received %+v", e); return nil }})
	get, _ := http.NewRequest(http.MethodGet, w.HookURL, nil)
	if got := status(t, get); got != 405 {
		t.Errorf("GET gave %d", got)
	}
	if got := status(t, signed(t, w.HookURL+"/x", w.HookSecret.Reveal(), "{}", time.Now())); got != 404 {
		t.Errorf("another path gave %d", got)
	}
}

func TestEventThatCannotBeHandedOnIsNotAccepted(t *testing.T) {
	w := start(t, Options{Receive: func(Event) error { return errors.New("standard output is closed") }})
	if got := status(t, signed(t, w.HookURL, w.HookSecret.Reveal(), "{}", time.Now())); got != 500 {
		t.Errorf("status %d, want 500", got)
	}
}

func TestReceiverBoundsBodies(t *testing.T) {
	v, err := standardwebhooks.NewWebhookRaw([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	h := &hook{verifier: v, limit: 10, receive: func(e Event) error { t.Errorf("received %+v", e); return nil }}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, hookPath, strings.NewReader("12345678901")))
	if w.Code != 413 {
		t.Errorf("11 octets where 10 are allowed gave %d", w.Code)
	}
}
