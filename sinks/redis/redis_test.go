package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options of a sink at an address, for the user who may do everything.
func options(addr string) Options {
	return Options{URL: (&url.URL{Scheme: "redis", User: url.UserPassword(mailtest.RedisUser, mailtest.RedisPassword), Host: addr, Path: "/0"}).String(), Stream: "mail"}
}

func makeSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New("stream", o, payload.Renderer{}, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// client is a consumer's.
func client(t testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true, Protocol: 2})
	t.Cleanup(func() { c.Close() })
	return c
}

func entries(t testing.TB, c *redis.Client, stream string) []redis.XMessage {
	t.Helper()
	all, err := c.XRange(context.Background(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAStreamOfRedisIsASink(t *testing.T) {
	server := mailtest.StartRedis(t)
	c := client(t, server.Addr)
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		reset := func(testing.TB) {
			c.ConfigSet(context.Background(), "maxmemory", "0")
			c.ConfigSet(context.Background(), "proto-max-bulk-len", "512mb")
		}
		reset(t)
		c.FlushAll(t.Context())
		gate := mailtest.NewGate(t, server.Addr)
		denied := options(gate.Addr)
		denied.URL = strings.Replace(denied.URL, mailtest.RedisPassword, "another-password", 1)
		return sinktest.Fixture{
			Sink: makeSink(t, options(gate.Addr)), Dead: makeSink(t, options("127.0.0.1:1")), Denied: makeSink(t, denied), CheckSignsIn: true,
			Stored: func(t testing.TB, id string) (all [][]byte) {
				for _, e := range entries(t, c, "mail") {
					if e.Values["id"] == id {
						all = append(all, []byte(e.Values["body"].(string)))
					}
				}
				return all
			},
			Refuse:  func(testing.TB) { c.ConfigSet(context.Background(), "maxmemory", "1") },
			Accept:  reset,
			Hang:    func(_ testing.TB, entered func()) { gate.Silence(entered) },
			Restart: func(testing.TB) { server.Restart() },
			Large: func(t testing.TB) string {
				c.ConfigSet(context.Background(), "proto-max-bulk-len", "1mb")
				return "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 120_000)
			},
			Secrets: []string{mailtest.RedisPassword, "another-password"},
		}
	})
}

func TestAnEntryHasTheFieldsOfTheSink(t *testing.T) {
	server := mailtest.StartRedis(t)
	c := client(t, server.Addr)
	o := options(server.Addr)
	o.Stream = "mail:{{ mailbox.name }}"
	o.Headers = map[string]string{"subject": "{{ message.subject }}", "team": "red"}
	s := makeSink(t, o)
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	receipt, err := s.Deliver(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	all := entries(t, c, "mail:support")
	if len(all) != 1 || len(all[0].Values) != 4 || all[0].ID != receipt.Detail {
		t.Fatalf("%+v, receipt %+v", all, receipt)
	}
	v := all[0].Values
	var event struct{ ID string }
	if err := json.Unmarshal([]byte(v["body"].(string)), &event); err != nil || event.ID != d.ID {
		t.Errorf("the body is of %q, %v", event.ID, err)
	}
	if v["id"] != d.ID || v["subject"] != "Order 1042 is late" || v["team"] != "red" {
		t.Errorf("%v", v)
	}
}

func TestABodyThatIsNoJSONSaysWhatItIs(t *testing.T) {
	server := mailtest.StartRedis(t)
	r, err := payload.NewRenderer("raw", payload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New("stream", options(server.Addr), r, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); err != nil {
		t.Fatal(err)
	}
	v := entries(t, client(t, server.Addr), "mail")[0].Values
	if v["content-type"] != "message/rfc822" || v["body"] != sinktest.Mail {
		t.Errorf("%v", v)
	}
}

func TestStreamsAreTrimmedOnlyWhereThatIsAskedFor(t *testing.T) {
	server := mailtest.StartRedis(t, "stream-node-max-entries 10")
	c := client(t, server.Addr)
	for stream, o := range map[string]Options{"all": {}, "length": {MaxLen: 20}, "age": {MaxAge: time.Hour}} {
		o.URL, o.Stream = options(server.Addr).URL, stream
		old := time.Now().Add(-2 * time.Hour).UnixMilli()
		for i := range 40 {
			if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: fmt.Sprintf("%d-%d", old, i), Values: []any{"id", i}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := makeSink(t, o).Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); err != nil {
			t.Fatal(err)
		}
		got := len(entries(t, c, stream))
		// Nodes of ten entries go whole.
		if want := map[string][2]int{"all": {41, 41}, "length": {20, 30}, "age": {1, 11}}[stream]; got < want[0] || got > want[1] {
			t.Errorf("%s: %d entries are left, want %d to %d", stream, got, want[0], want[1])
		}
	}
}

func TestEveryWayOfReachingTheServerWorks(t *testing.T) {
	server := mailtest.StartRedis(t)
	c := client(t, server.Addr)
	signIn := url.UserPassword(mailtest.RedisUser, mailtest.RedisPassword).String()
	for name, change := range map[string]func(*Options){
		"TLS":           func(o *Options) { o.URL, o.TLS.CAFile = "rediss://"+signIn+"@"+server.TLSAddr, server.CAFile },
		"a Unix socket": func(o *Options) { o.URL = "unix://" + signIn + "@" + server.Socket },
		"no user":       func(o *Options) { o.URL = "redis://" + server.Addr },
		"keys of their own": func(o *Options) {
			o.URL, o.Username, o.Password = "redis://"+server.Addr, mailtest.RedisUser, secret.New(mailtest.RedisPassword)
		},
		"a database by path":   func(o *Options) { o.URL = "redis://" + server.Addr + "/3" },
		"a database by option": func(o *Options) { o.URL = "unix://" + server.Socket + "?db=3" },
	} {
		o := options(server.Addr)
		o.Stream = name
		change(&o)
		s := makeSink(t, o)
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		db := map[bool]int{true: 3}[strings.HasPrefix(name, "a database")]
		if got, _ := c.Do(t.Context(), "SELECT", db).Text(); got != "OK" || len(entries(t, c, name)) != 1 {
			t.Errorf("%s: the entry is not there", name)
		}
		c.Do(t.Context(), "SELECT", 0)
	}
}
