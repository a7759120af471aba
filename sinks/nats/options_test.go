package nats

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nkeys"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	with := func(url string, change func(*Options)) Options {
		o := options(url)
		if change != nil {
			change(&o)
		}
		return o
	}
	subject := func(s string) func(*Options) { return func(o *Options) { o.Subject = s } }
	for _, c := range []struct {
		fact string
		o    Options
		says string
	}{
		{"no scheme", with("127.0.0.1:4222", nil), "url must be nats://host:4222"},
		{"another scheme", with("ws://secret-pass@h/", nil), "url must be nats://host:4222"},
		{"no host", with("nats://:4222", nil), "url must be nats://host:4222"},
		{"what cannot be read", with("nats://a\x00:secret-pass@h", nil), "url must be nats://host:4222"},
		{"a path", with("nats://localhost/mail", nil), "url must end after the host and port"},
		{"clear text to another machine", with("nats://nats.example.com", nil), "set insecure: true"},
		{"clear text to a name that may be another machine", with("nats://nats.localhost", nil), "set insecure: true"},
		{"clear text and TLS", with("tls://a.example.com,nats://localhost", nil), "do not go together"},
		{"two ways to sign in", with("nats://u:secret-pass@localhost", func(o *Options) { o.Token = secret.New("secret-pass") }), "the url's user and token exclude each other"},
		{"an nkey that is none", with("nats://localhost", func(o *Options) { o.NKey = secret.New("secret-pass") }), "nkey: it is not the seed of an nkey"},
		{"credentials that are none", with("nats://localhost", func(o *Options) { o.Creds = secret.New("secret-pass") }), "creds: they hold no user's nkey"},
		{"no subject", with("nats://localhost", subject("")), "subject: the subject is empty"},
		{"a wildcard", with("nats://localhost", subject("mail.*")), "cannot be published to"},
		{"all the rest", with("nats://localhost", subject("mail.>")), "cannot be published to"},
		{"a space", with("nats://localhost", subject("mail in")), "cannot be published to"},
		{"an empty word", with("nats://localhost", subject("mail..in")), "cannot be published to"},
		{"the server's own subject", with("nats://localhost", subject("$JS.API.STREAM.DELETE.MAIL")), "the server's own"},
		{"a hole that is none", with("nats://localhost", subject("mail.{{ message.subjct }}")), "subject"},
		{"a stream with a dot", with("nats://localhost", func(o *Options) { o.Stream = "A.B" }), "not the name of a stream"},
		{"a header field of the server's", with("nats://localhost", func(o *Options) { o.Headers = map[string]string{"nats-rollup": "all"} }), "tells the server what to do"},
		{"a header field of postferry's", with("nats://localhost", func(o *Options) { o.Headers = map[string]string{"content-type": "x"} }), "set by postferry itself"},
		{"a CA file that is not there", with("tls://localhost", func(o *Options) { o.TLS = config.TLS{CAFile: "/nonexistent"} }), "tls.ca_file"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			_, err := New("pager", c.o, payload.Renderer{}, sinks.Env{})
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-pass") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestServersAndWhoSignsIn(t *testing.T) {
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	public, err := pair.PublicKey()
	must(t, err)
	for _, c := range []struct {
		o     Options
		hosts string
		user  string
	}{
		{options("nats://localhost"), "nats://localhost:4222", ""},
		{options("nats://[::1]:4333, nats://127.0.0.1"), "nats://[::1]:4333,nats://127.0.0.1:4222", ""},
		{options("tls://ada:secret-pass@nats.example.com"), "tls://nats.example.com:4222", "ada"},
		{options("tls://secret-pass@nats.example.com"), "tls://nats.example.com:4222", ""},
		{Options{URL: secret.New("nats://nats.example.com"), Insecure: true, Username: "ada", Password: secret.New("secret-pass")}, "nats://nats.example.com:4222", "ada"},
		{Options{URL: secret.New("nats://localhost"), NKey: secret.New(string(seed) + "\n")}, "nats://localhost:4222", public},
	} {
		got, err := c.o.target()
		if err != nil || got.hosts != c.hosts || got.user != c.user {
			t.Errorf("%s: %+v, %v", c.hosts, got, err)
		}
	}
}

func TestAnOptionOfItsOwnIsOfEveryQueue(t *testing.T) {
	var o Options
	o.SetDefaults()
	if o.Large != queue.Link || o.Timeout != queue.DefaultTimeout {
		t.Errorf("%+v", o.Options)
	}
}

func TestWhatAMailSaysStaysOneWordOfASubject(t *testing.T) {
	for said, want := range map[string]string{
		"vip": "vip", "": "_", "a.b": "a_b", "*": "_", ">": "_", "a b\tc\r\nd": "a_b_c__d", "\x00\x7f\u2028": "___", "größe": "größe", "\xff": "_",
		strings.Repeat("x", 1000): strings.Repeat("x", longestToken),
	} {
		if got := token(said); got != want {
			t.Errorf("%q became %q", said, got)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add("a.b")
	f.Add("*>\r\nPUB x")
	f.Add(strings.Repeat("ü", 500))
	f.Fuzz(func(t *testing.T, said string) {
		got := token(said)
		if err := checkSubject("mail." + got + ".in"); err != nil || !utf8.ValidString(got) || strings.Count("mail."+got, ".") != 1 {
			t.Errorf("%q became %q: %v", said, got, err)
		}
	})
}
