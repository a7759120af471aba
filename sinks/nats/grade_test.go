package nats

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// fault names the mark of an error.
func fault(err error) string {
	switch {
	case err == nil:
		return "none"
	case sinks.IsPermanent(err):
		return "mail"
	case sinks.IsSinkFault(err):
		return "sink"
	}
	return "temporary"
}

// TestWhatNoStreamConfirmsIsNeverDelivered: with one server, under streams of
// several kinds.
func TestWhatNoStreamConfirmsIsNeverDelivered(t *testing.T) {
	n := mailtest.StartNATS(t, "max_payload: 65536", `authorization { users = [
		{user: all, password: pass-of-all}
		{user: few, password: pass-of-few, permissions: {publish: {allow: ["mail.in", "$JS.API.>"]}, subscribe: "_INBOX.>"}} ] }`)
	url := "nats://all:pass-of-all@" + n.Addr
	at := newStream(t, &mailtest.NATS{URL: url})
	make := func(name string, change func(*jetstream.StreamConfig)) {
		c := jetstream.StreamConfig{Name: name, Subjects: []string{strings.ToLower(name) + ".>"}}
		change(&c)
		_, err := at.js.CreateStream(t.Context(), c)
		must(t, err)
	}
	make("FULL", func(c *jetstream.StreamConfig) { c.MaxBytes, c.Discard = 100, jetstream.DiscardNew })
	make("SMALL", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 })
	make("SILENT", func(c *jetstream.StreamConfig) { c.NoAck = true })
	for _, c := range []struct {
		fact, fault, says string
		o                 Options
		raw               string
	}{
		{"a subject without a stream", "sink", "no stream takes this subject", Options{Subject: "nobody.in"}, ""},
		{"a subject of the mail's without a stream", "temporary", "no stream takes this subject", Options{Subject: "nobody.{{ message.subject }}"}, ""},
		{"another stream than named", "sink", "another stream takes this subject", Options{Subject: "mail.in", Stream: "OTHER"}, ""},
		{"a stream that is full", "sink", "the stream is full", Options{Subject: "full.in"}, ""},
		{"a stream for smaller messages", "mail", "max_msg_size", Options{Subject: "small.in"}, ""},
		{"a stream that confirms nothing", "temporary", "no confirmation within 200ms", Options{Subject: "silent.in"}, ""},
		{"a mail larger than the server takes", "mail", "octets, and the broker takes 65", Options{Subject: "mail.in"}, "Subject: large\r\n\r\n" + strings.Repeat("x", 70_000)},
		{"a subject the user may not publish to", "sink", "let the user publish to this subject", Options{URL: secret.New("nats://few:pass-of-few@" + n.Addr), Subject: "mail.secret"}, ""},
		{"a subject made of words that would have no end", "mail", "making the subject", Options{Subject: "mail" + strings.Repeat(".{{ message.subject }}", 20)}, "Subject: " + strings.Repeat("x", 200) + "\r\n\r\n"},
		{"none of that", "none", "", Options{Subject: "mail.in", Stream: "MAIL"}, ""},
	} {
		t.Run(c.fact, func(t *testing.T) {
			if c.o.URL.IsZero() {
				c.o.URL = secret.New(url)
			}
			c.o.Timeout = 200 * time.Millisecond
			if strings.Contains(c.says, "no stream") { // of which the library takes some half a second to be sure
				c.o.Timeout = 0
			}
			if c.raw == "" {
				c.raw = "Subject: word\r\n\r\nhello\r\n"
			}
			receipt, err := deliver(t, makeSink(t, c.o, payload.Renderer{}), c.raw)
			if fault(err) != c.fault || err != nil && !strings.Contains(err.Error(), c.says) || err == nil && receipt.Detail != "stream MAIL, sequence 1" {
				t.Errorf("%s: %v, %+v", fault(err), err, receipt)
			}
		})
	}
}

func TestAMessageSaysWhatItIs(t *testing.T) {
	n := mailtest.StartNATS(t)
	at := newStream(t, n)
	o := options(n.URL)
	o.Subject = "mail.{{ mailbox.name }}.{{ message.subject }}"
	o.Headers = map[string]string{"X-From": "{{ from() }}"}
	s := makeSink(t, o, payload.Renderer{})
	if _, err := deliver(t, s, sinktest.Mail); err != nil {
		t.Fatal(err)
	}
	again, err := deliver(t, s, sinktest.Mail)
	if err != nil || again.Detail != "stream MAIL, sequence 1, which it had already" {
		t.Errorf("the second time it is %+v, %v", again, err)
	}
	all := at.all()
	if len(all) != 1 || all[0].Subject != "mail.support.Order_1042_is_late" {
		t.Fatalf("%d messages, %+v", len(all), all)
	}
	for name, want := range map[string]string{"Nats-Msg-Id": sinktest.ID(1), "Content-Type": "application/json", "X-From": "ada@customer.example"} {
		if got := all[0].Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// TestEveryWayToSignIn is over TLS, which the server requires.
func TestEveryWayToSignIn(t *testing.T) {
	dir := t.TempDir()
	ca, err := localca.New()
	must(t, err)
	cert, key, caFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	for path, text := range map[string][]byte{cert: ca.CertPEM, key: ca.KeyPEM, caFile: ca.PEM} {
		must(t, os.WriteFile(path, text, 0o600))
	}
	pair, err := nkeys.CreateUser()
	must(t, err)
	public, err := pair.PublicKey()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	secure := fmt.Sprintf("tls { cert_file: %s, key_file: %s }", strconv.Quote(cert), strconv.Quote(key))
	trust := config.TLS{CAFile: caFile}
	users := mailtest.StartNATS(t, secure, `authorization { users = [ {user: ada, password: pass-of-ada}, {nkey: `+public+`} ] }`)
	tokens := mailtest.StartNATS(t, secure, `authorization { token: a-token-of-nats }`)
	for _, c := range []struct {
		fact, step, said string
		ok               bool
		addr             string
		o                Options
	}{
		{"user and password", "connection", "with TLS, signed in as ada", true, users.Addr, Options{Username: "ada", Password: secret.New("pass-of-ada"), TLS: trust}},
		{"an nkey", "connection", "signed in as " + public, true, users.Addr, Options{NKey: secret.New(string(seed)), TLS: trust}},
		{"a token", "connection", "with TLS", true, tokens.Addr, Options{Token: secret.New("a-token-of-nats"), TLS: trust}},
		{"nobody", "sign-in", "Authorization Violation", false, users.Addr, Options{TLS: trust}},
		{"another token", "sign-in", "Authorization Violation", false, tokens.Addr, Options{Token: secret.New("b-token-of-nats"), TLS: trust}},
		{"an authority that is not trusted", "TLS", "certificate", false, users.Addr, Options{Username: "ada", Password: secret.New("pass-of-ada")}},
	} {
		t.Run(c.fact, func(t *testing.T) {
			c.o.URL, c.o.Subject = secret.New("tls://"+c.addr), "mail.in"
			s := makeSink(t, c.o, payload.Renderer{})
			found := s.Check(t.Context())[0]
			if found.Step != c.step || found.OK != c.ok || !strings.Contains(found.Said, c.said) {
				t.Errorf("found %+v", found)
			}
			if c.ok {
				return
			}
			if _, err := deliver(t, s, sinktest.Mail); fault(err) != "sink" {
				t.Errorf("%s: %v", fault(err), err)
			}
		})
	}
	clear := mailtest.StartNATS(t)
	s := makeSink(t, Options{URL: secret.New("tls://" + clear.Addr), Subject: "mail.in"}, payload.Renderer{})
	if _, err := deliver(t, s, sinktest.Mail); fault(err) != "sink" || !strings.Contains(err.Error(), "the server speaks no TLS") {
		t.Errorf("%s: %v", fault(err), err)
	}
}

func TestACheckTellsWhatTheConfirmationIsWorth(t *testing.T) {
	n := mailtest.StartNATS(t)
	s := makeSink(t, options(n.URL), payload.Renderer{})
	if found := s.Check(t.Context()); len(found) != 2 || found[1].OK || !strings.Contains(found[1].Fix, "nats stream add") {
		t.Errorf("without a stream: %+v", found)
	}
	at := &stream{t: t}
	at.connect(n)
	at.set(func(c *jetstream.StreamConfig) { c.Storage, c.Duplicates = jetstream.MemoryStorage, time.Hour })
	want := "stream MAIL takes mail.in: 1 replicas, in memory, which a restart of the server loses; it drops a delivery repeated within 1h0m0s"
	if found := s.Check(t.Context()); len(found) != 2 || !found[1].OK || found[1].Said != want {
		t.Errorf("with one: %+v", found)
	}
	o := options(n.URL)
	o.Subject = "mail.{{ mailbox.name }}"
	if found := makeSink(t, o, payload.Renderer{}).Check(t.Context()); len(found) != 2 || !found[1].OK {
		t.Errorf("where mails make the subject: %+v", found)
	}
}

func TestCloseWaitsForConfirmations(t *testing.T) {
	n := mailtest.StartNATS(t)
	at := newStream(t, n)
	gate := mailtest.NewGate(t, n.Addr)
	s := makeSink(t, options("nats://"+gate.Addr), payload.Renderer{})
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 0, sinktest.Mail)); err != nil {
		t.Fatal(err)
	}
	entered, done := make(chan struct{}), make(chan error, 1)
	gate.Silence(func() { close(entered) })
	go func() {
		_, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
		done <- err
	}()
	<-entered
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	select {
	case <-closed:
		t.Error("Close did not wait")
	case <-time.After(50 * time.Millisecond): // it cannot decide for a Close that waits
	}
	gate.Open()
	if err := <-done; err != nil {
		t.Errorf("the delivery under way: %v", err)
	}
	<-closed
	if len(at.stored(sinktest.ID(1))) != 1 {
		t.Error("it is not there")
	}
	if _, err := deliver(t, s, sinktest.Mail); err == nil || fault(err) != "temporary" {
		t.Errorf("after Close: %v", err)
	}
}
