package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDefaultsOfTheFile(t *testing.T) {
	r, err := one(t, environ(), whole)
	if err != nil {
		t.Fatal(err)
	}
	m, s := r.Mailbox("m"), r.Sink("app")
	for _, c := range []struct {
		key       string
		got, want any
	}{
		{"version", r.Version, 1}, {"retain", r.Retain, 168 * time.Hour}, {"listen", r.Listen, "127.0.0.1:8425"}, {"quota", int64(r.Quota), int64(0)},
		{"schedule", m.Schedule, "@every 1m"}, {"backfill", m.Backfill.String(), "none"}, {"after", m.After.String(), "keep"},
		{"failed", m.Failed.String(), "keep"}, {"settle", m.Settle, "delivered"}, {"settle_wait", m.SettleWait, 10 * time.Second},
		{"insecure", m.Insecure, false}, {"tls.min_version", m.TLS.MinVersion, "1.2"},
		{"folders", strings.Join(r.imap["m"].Folders, ","), "INBOX"}, {"idle", r.imap["m"].Idle, true},
		{"format", s.Format, "native"}, {"attachments", s.Attachments, "auto"}, {"concurrency", s.Concurrency, 4}, {"rate", s.Rate.String(), ""},
		{"retry.delays", fmt.Sprint(s.Retry.Delays), "[5s 30s 5m0s 30m0s 2h0m0s 5h0m0s 10h0m0s]"}, {"retry.every", s.Retry.Every, 24 * time.Hour},
		{"retry.for", s.Retry.For, 168 * time.Hour}, {"retry.jitter", s.Retry.Jitter, true}, {"timeout", r.webhook["app"].Timeout, 15 * time.Second},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.key, c.got, c.want)
		}
	}
}

func TestEmptyValueIsTheDefault(t *testing.T) {
	r, err := one(t, environ(), "retain:\nlisten: ~\nquota: null\nx-none:\ndefaults:\n"+strings.Replace(whole, "    username: u", "    schedule:\n    tls:\n    folders: null\n    username: u", 1))
	if err != nil {
		t.Fatal(err)
	}
	if r.Retain != 168*time.Hour || r.Listen != "127.0.0.1:8425" || r.Mailbox("m").Schedule != "@every 1m" || len(r.imap["m"].Folders) != 1 {
		t.Errorf("%+v %+v", r.Config, r.Mailbox("m"))
	}
}

func TestEmptyTextIsNotTheDefault(t *testing.T) {
	r, err := one(t, environ(), "listen: \"\"\nretain: 0\n"+whole)
	if err != nil || r.Listen != "" || r.Retain != 0 {
		t.Errorf("listen %q, retain %v, %v; want both off", r.Listen, r.Retain, err)
	}
}

func TestDefaultsHoldForMailboxesThatLackTheKey(t *testing.T) {
	r, err := one(t, environ(), `version: 1
defaults:
  username: d
  password: d
  schedule: "@every 2m"
  folders: [D]
  tls: {ca_file: d.pem, min_version: "1.3"}
  deliver: [app]
mailboxes:
  plain: {server: imaps://a.example.com}
  own: {server: imaps://b.example.com, username: o, password_command: [echo, o], schedule: "@every 3m", tls: {ca_file: o.pem}, folders: [O]}
  null: {server: imaps://c.example.com, schedule: null}
  pop: {server: pop3s://d.example.com}
`+app)
	if err == nil || !strings.Contains(err.Error(), "a key must be a word") {
		t.Fatalf("a null key: %v", err)
	}
	r, err = one(t, environ(), `version: 1
defaults:
  username: d
  password: d
  schedule: "@every 2m"
  folders: [D]
  tls: {ca_file: d.pem, min_version: "1.3"}
  deliver: [app]
mailboxes:
  plain: {server: imaps://a.example.com}
  own: {server: imaps://b.example.com, username: o, password_command: [echo, o], schedule: "@every 3m", tls: {ca_file: o.pem}, folders: [O]}
  nulled: {server: imaps://c.example.com, schedule: null}
  pop: {server: pop3s://d.example.com}
`+app)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, schedule, password, ca, min, folder string }{
		{"plain", "@every 2m", "d", "d.pem", "1.3", "D"},
		{"own", "@every 3m", "o", "o.pem", "1.3", "O"},
		{"nulled", "@every 1m", "d", "d.pem", "1.3", "D"},
		{"pop", "@every 2m", "d", "d.pem", "1.3", ""},
	} {
		m, folder := r.Mailbox(c.name), ""
		if k := r.imap[c.name]; k != nil {
			folder = k.Folders[0]
		}
		if m.Schedule != c.schedule || m.Password.Reveal() != c.password || !strings.HasSuffix(m.TLS.CAFile, "/"+c.ca) || m.TLS.MinVersion != c.min || folder != c.folder {
			t.Errorf("%s: %s %s %+v %s", c.name, m.Schedule, m.Password.Reveal(), m.TLS, folder)
		}
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	r, err := one(t, environ("TEAM_PASSWORD=pw"), `version: 1
x-team: &team {username: team, password: "${TEAM_PASSWORD}", schedule: "@every 5m"}
x-slow: &slow {schedule: "@every 9m", settle: taken}
x-to: &to [app]
mailboxes:
  a: {<<: *team, server: imaps://a.example.com, deliver: *to}
  b: {<<: [*slow, *team], server: imaps://b.example.com, deliver: *to}
  c: {schedule: "@every 1h", <<: {<<: *team, settle: taken}, server: imaps://c.example.com, deliver: *to}
`+app)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, schedule, settle string }{
		{"a", "@every 5m", "delivered"}, // what is merged
		{"b", "@every 9m", "taken"},     // the first of a list wins
		{"c", "@every 1h", "taken"},     // the own key wins
	} {
		m := r.Mailbox(c.name)
		if m.Schedule != c.schedule || m.Settle != c.settle || m.Username != "team" || m.Password.Reveal() != "pw" || m.Deliver[0].To != "app" {
			t.Errorf("%s: %+v", c.name, m)
		}
	}
}

func TestBillionLaughsAreRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString(whole + "x-0: &l0 [lol]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "x-%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	_, err := one(t, environ(), b.String())
	if err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "too much here: more than 500000 values or 64 levels") {
		t.Errorf("10^11 values: %v", err)
	}
}

func TestMergedLaughsAreRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString(whole + "x-0: &l0 {a: b}\n")
	for i := 1; i < 24; i++ {
		fmt.Fprintf(&b, "x-%d: &l%d {<<: *l%d, k%d: *l%d}\n", i, i, i-1, i, i-1)
	}
	if _, err := one(t, environ(), b.String()); err == nil || !strings.Contains(err.Error(), "too much here") {
		t.Errorf("2^24 values: %v", err)
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	_, err := one(t, environ(), whole+"x-deep: "+strings.Repeat("[", 100)+strings.Repeat("]", 100)+"\n")
	if err == nil || !strings.Contains(err.Error(), "too much here") {
		t.Errorf("100 levels: %v", err)
	}
}

// YAML 1.2, section 10.3.2; what YAML 1.1 reads otherwise is an error, or text.
func TestScalarsAreThoseOfYAML12(t *testing.T) {
	for _, c := range []struct{ line, wrong string }{
		{"port: 80", ""}, {"port: 0o17", ""}, {"port: 0x1F", ""}, {"port: +80", ""},
		{"port: 010", "may mean two numbers"}, {"port: 1_000", "wants a whole number"}, {"port: 1.0", "wants a whole number"},
		{"port: 65536", "too large"}, {"port: -1", "negative"}, {"port: 0b11", "wants a whole number"}, {"port: 1:30", "wants a whole number"},
		{"port: \"80\"", "without quotes"}, {"port: !!int \"80\"", ""}, {"port: !!str 80", "without quotes"}, {"port: yes", "wants a whole number"},
		{"factor: 1", ""}, {"factor: 1.5e3", ""}, {"factor: .5", ""}, {"factor: .inf", "wants a number"}, {"factor: .nan", "wants a number"}, {"factor: 1e999", "too large"},
		{"strict: true", ""}, {"strict: FALSE", ""}, {"strict: yes", "is a text in YAML 1.2; write true"}, {"strict: Off", "is a text in YAML 1.2; write false"},
		{"strict: y", "write true"}, {"strict: 1", "wants true or false"}, {"strict: tRuE", "wants true or false"},
		{"secret: 010", ""}, {"secret: yes", ""}, {"secret: 2026-11-24", ""}, {"secret: 1e3", ""},
	} {
		_, err := one(t, environ(), "version: 1\nsinks:\n  app:\n    type: webhook\n    url: https://app.example.com/\n    "+c.line+"\n")
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.line, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want an error with %q", c.line, err, c.wrong)
		}
	}
}

func TestScalarsKeepTheirText(t *testing.T) {
	r, err := one(t, environ(), `version: 1
sinks:
  app:
    type: webhook
    url: https://app.example.com/
    secret: 010
    headers: {Yes: yes, X-Api.Key: 1e3, x-lower: ~}
    extra: {n: 010, b: yes, t: true, i: 10, f: 1.5, s: "10", z: ~, d: 2026-11-24, Mixed.Case: [1, {Aa: 0x10}]}
    strict: false
`)
	if err != nil {
		t.Fatal(err)
	}
	k := r.webhook["app"]
	if k.Secret.Reveal() != "010" || k.Headers["Yes"].Reveal() != "yes" || k.Headers["X-Api.Key"].Reveal() != "1e3" {
		t.Errorf("secrets are not as written")
	}
	const want = `map[string]interface {}{"Mixed.Case":[]interface {}{1, map[string]interface {}{"Aa":16}}, "b":"yes", "d":"2026-11-24", "f":1.5, "i":10, "n":"010", "s":"10", "t":true, "z":interface {}(nil)}`
	if got := fmt.Sprintf("%#v", k.Extra); got != want {
		t.Errorf("extra is\n%s, want\n%s", got, want)
	}
	if k.Strict == nil || *k.Strict {
		t.Errorf("strict is %v, want false", k.Strict)
	}
}

func TestShortAndLongRoutes(t *testing.T) {
	r, err := one(t, environ("SINK=app"), strings.Replace(whole, "[app]", `["${SINK}", {to: app, when: 'x == "${SINK}"', stop: true}]`, 1))
	if err != nil {
		t.Fatal(err)
	}
	d := r.Mailbox("m").Deliver
	if len(d) != 2 || d[0].To != "app" || d[0].When != "" || d[1].When != `x == "${SINK}"` || !d[1].Stop {
		t.Errorf("%+v", d)
	}
	if err := d[1].Error(fmt.Errorf("no such name")); !strings.Contains(err.Error(), "postferry.yaml:7: mailboxes.m.deliver[1].when: no such name") {
		t.Errorf("error of a condition: %v", err)
	}
}

func TestRetryBlocks(t *testing.T) {
	for _, c := range []struct {
		text         string
		delays       int
		every, total time.Duration
		jitter       bool
	}{
		{"retry: none", 0, 0, 0, true},
		{"retry: {}", 7, 24 * time.Hour, 168 * time.Hour, true},
		{"retry: {for: 1d}", 7, 24 * time.Hour, 24 * time.Hour, true},
		{"retry: {delays: [1s, 2s], every: 1m, for: 1h, jitter: false}", 2, time.Minute, time.Hour, false},
		{"retry: {delays: []}", 0, 24 * time.Hour, 168 * time.Hour, true},
	} {
		r, err := one(t, environ(), "version: 1\nsinks:\n  app:\n    type: webhook\n    url: https://app.example.com/\n    "+c.text+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Sink("app").Retry; len(got.Delays) != c.delays || got.Every != c.every || got.For != c.total || got.Jitter != c.jitter {
			t.Errorf("%s: %+v", c.text, got)
		}
	}
}
