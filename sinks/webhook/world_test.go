package webhook

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyOne   = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	keyTwo   = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	keyThree = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
)

// make makes a sink that is closed when the test ends.
func makeSink(t testing.TB, o Options, e sinks.Env) *Sink {
	t.Helper()
	s, err := New("app", o, payload.Renderer{}, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func deliver(t testing.TB, s *Sink) (sinks.Receipt, error) {
	t.Helper()
	return s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
}

// listener runs serve for each connection, and waits for all of them when the
// test ends.
func listener(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var served sync.WaitGroup
		defer served.Wait()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				serve(c)
				stop()
				c.Close()
			})
		}
	}()
	t.Cleanup(func() { cancel(); ln.Close(); <-done })
	return ln.Addr().String()
}

// unused is an address nobody listens at.
func unused(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestWebhookIsASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		r := mailtest.NewReceiver(t)
		options := func(base string) Options {
			return Options{
				URL:    "http://user:userinfo-password@" + base + "/hooks/mail?token=query-token-1",
				Secret: secret.New(keyOne),
				Headers: map[string]secret.Secret{
					"X-Api-Key": secret.New("header-value-1"),
				},
			}
		}
		base := r.URL[len("http://"):]
		dead, err := New("dead", options(unused(t)), payload.Renderer{}, sinks.Env{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New("app", options(base), payload.Renderer{}, sinks.Env{})
		if err != nil {
			t.Fatal(err)
		}
		wrong := options(base)
		wrong.URL = strings.Replace(wrong.URL, "userinfo-password", "another-password", 1)
		denied, err := New("denied", wrong, payload.Renderer{}, sinks.Env{})
		if err != nil {
			t.Fatal(err)
		}
		guarded := func(q *mailtest.Request) mailtest.Answer {
			if _, password, _ := (&http.Request{Header: q.Header}).BasicAuth(); password != "userinfo-password" {
				return mailtest.Answer{Status: 401, Body: q.Header.Get("Authorization")}
			}
			return mailtest.Answer{Status: 200}
		}
		r.Answer(guarded)
		return sinktest.Fixture{
			Sink: s, Dead: dead,
			Stored: func(_ testing.TB, id string) [][]byte {
				var all [][]byte
				for _, q := range r.Requests() {
					if q.ID == id && q.Status == 200 && q.Err == nil {
						all = append(all, q.Body)
					}
				}
				return all
			},
			// The answer repeats what came, as receivers under repair do.
			Refuse: func(testing.TB) {
				r.Answer(func(q *mailtest.Request) mailtest.Answer {
					_, password, _ := (&http.Request{Header: q.Header}).BasicAuth()
					body := q.URL + " " + q.Header.Get("Authorization") + " " + q.Header.Get("X-Api-Key") + " user:" + password + " " + keyOne
					return mailtest.Answer{Status: 500, Body: body}
				})
			},
			Accept: func(testing.TB) {
				r.Answer(guarded)
			},
			Hang: func(_ testing.TB, entered func()) {
				r.Answer(func(q *mailtest.Request) mailtest.Answer {
					entered()
					<-q.Context().Done()
					return mailtest.Answer{}
				})
			},
			Restart: r.Restart,
			Large: func(testing.TB) string {
				r.Answer(func(*mailtest.Request) mailtest.Answer { return mailtest.Answer{Status: 413} })
				return sinktest.Mail
			},
			Denied:  denied,
			Secrets: []string{"userinfo-password", "query-token-1", "header-value-1", keyOne, keyOne[len("whsec_"):], "dXNlcjp1c2VyaW5mby1wYXNzd29yZA==", "another-password", base64.StdEncoding.EncodeToString([]byte("user:another-password"))},
		}
	})
}

// fixed is a clock that stands still.
type fixed struct{ now time.Time }

func (f *fixed) Now() time.Time { return f.now }

func (f *fixed) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }
