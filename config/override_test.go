package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/postferry/postferry/config"
)

// flags gives the flags store, listen and retain as a command has them, set as
// the arguments say.
func flags(t *testing.T, args ...string) map[string]*pflag.Flag {
	t.Helper()
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	given := map[string]*pflag.Flag{}
	for _, name := range []string{"store", "listen", "retain"} {
		set.String(name, "the flag's own default", "")
		given[name] = set.Lookup(name)
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return given
}

func TestFlagsGoBeforeVariablesAndVariablesBeforeFiles(t *testing.T) {
	for _, c := range []struct {
		file string
		vars []string
		args []string
		want string
	}{
		{"", nil, nil, "127.0.0.1:8425"},
		{"listen: 127.0.0.1:1\n", nil, nil, "127.0.0.1:1"},
		{"listen: 127.0.0.1:1\n", []string{"POSTFERRY_LISTEN=127.0.0.1:2"}, nil, "127.0.0.1:2"},
		{"listen: 127.0.0.1:1\n", []string{"POSTFERRY_LISTEN="}, nil, "127.0.0.1:1"},
		{"listen: 127.0.0.1:1\n", []string{"POSTFERRY_LISTEN=127.0.0.1:2"}, []string{"--listen=127.0.0.1:3"}, "127.0.0.1:3"},
		{"listen: 127.0.0.1:1\n", nil, []string{"--listen=127.0.0.1:3"}, "127.0.0.1:3"},
		{"listen: 127.0.0.1:1\n", nil, []string{"--listen="}, ""},
		{"", []string{"POSTFERRY_LISTEN=127.0.0.1:2"}, nil, "127.0.0.1:2"},
		{"", nil, []string{"--listen=127.0.0.1:3"}, "127.0.0.1:3"},
	} {
		o := environ(c.vars...)
		o.Flags = flags(t, c.args...)
		r, err := one(t, o, c.file+whole)
		if err != nil || r.Listen != c.want {
			t.Errorf("file %q, variables %q, flags %q: listen is %q, %v; want %q", c.file, c.vars, c.args, r.Listen, err, c.want)
		}
	}
}

func TestVariablesNameAKeyPath(t *testing.T) {
	r, err := one(t, environ(
		"POSTFERRY_RETAIN=2d", "POSTFERRY_QUOTA=3GB", "POSTFERRY_STORE=sqlite:/srv/x.db",
		"POSTFERRY_DEFAULTS__SCHEDULE=@every 9m",
		"POSTFERRY_MAILBOXES__SUPPORT__PASSWORD=${not} \"expanded\"",
		"POSTFERRY_MAILBOXES__MY_BOX__PASSWORD=dash",
		"POSTFERRY_MAILBOXES__MY_BOX__SCHEDULE=@every 8m",
		"POSTFERRY_MAILBOXES__MY_BOX__IDLE=false",
		"POSTFERRY_MAILBOXES__MY_BOX__TLS__CA_FILE=ca.pem",
		"POSTFERRY_SINKS__APP__CONCURRENCY=7",
		"POSTFERRY_SINKS__APP__HEADERS__X_API_KEY=key",
		"POSTFERRY_VERSION=1.4.2", // as images have it
	), `version: 1
defaults: {schedule: "@every 1m"}
mailboxes:
  support: {server: imaps://a.example.com, username: u, password: , deliver: [app]}
  my-box: {server: imaps://b.example.com, username: u, password: p, idle: true, tls: {ca_file: x}, deliver: [app]}
sinks:
  app: {type: webhook, url: https://app.example.com/, concurrency: 1, headers: {X-Api-Key: k, x.dot: d}}
`)
	if err != nil {
		t.Fatal(err)
	}
	support, box, hook := r.Mailbox("support"), r.Mailbox("my-box"), r.webhook["app"]
	for _, c := range []struct{ key, got, want string }{
		{"retain", r.Retain.String(), "48h0m0s"}, {"quota", r.Quota.String(), "3GB"}, {"store", r.Store.String(), "sqlite:/srv/x.db"},
		{"support.schedule", support.Schedule, "@every 9m"}, {"support.password", support.Password.Reveal(), "${not} \"expanded\""},
		{"my-box.password", box.Password.Reveal(), "dash"}, {"my-box.schedule", box.Schedule, "@every 8m"},
		{"my-box.tls.ca_file", box.TLS.CAFile, r.Dir + "/ca.pem"}, // relative to the first file
		{"headers.X-Api-Key", hook.Headers["X-Api-Key"].Reveal(), "key"}, {"headers.x.dot", hook.Headers["x.dot"].Reveal(), "d"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.key, c.got, c.want)
		}
	}
	if r.imap["my-box"].Idle || r.Sink("app").Concurrency != 7 || len(hook.Headers) != 2 {
		t.Errorf("idle %v, concurrency %d, %d headers", r.imap["my-box"].Idle, r.Sink("app").Concurrency, len(hook.Headers))
	}
	if w := r.Warnings(); len(w) != 0 {
		t.Errorf("warned: %q", w)
	}
}

func TestWrongValueNamesItsVariableOrFlag(t *testing.T) {
	for _, c := range []struct {
		vars, args []string
		want       string
	}{
		{[]string{"POSTFERRY_RETAIN=c4n4ry"}, nil, `$POSTFERRY_RETAIN: retain: "…" is not a length of time; write 10s, 5m, 1h30m or 7d`},
		{nil, []string{"--retain=soon"}, `--retain: retain: "…" is not a length of time; write 10s, 5m, 1h30m or 7d`},
		{[]string{"POSTFERRY_MAILBOXES__M__SCHEDULE=soon"}, nil, `$POSTFERRY_MAILBOXES__M__SCHEDULE: mailboxes.m.schedule: "…" is not a schedule (expected exactly 5 fields, found 1: […]); write "@every 1m" or five fields: minute hour day month weekday`},
		{[]string{"POSTFERRY_MAILBOXES__M=x"}, nil, ""}, // a block has no variable
	} {
		o := environ(c.vars...)
		o.Flags = flags(t, c.args...)
		_, err := one(t, o, strings.Replace(whole, "    username: u", "    schedule: \"@hourly\"\n    username: u", 1))
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%q %q: %v, want %s", c.vars, c.args, err, c.want)
		}
	}
}

func TestVariableThatMeansTwoKeysIsAnError(t *testing.T) {
	_, err := one(t, environ("POSTFERRY_MAILBOXES__A_B__PASSWORD=x"), `version: 1
mailboxes:
  a-b: {server: imaps://a.example.com, username: u, password: p, deliver: [app]}
  a_b: {server: imaps://b.example.com, username: u, password: p, deliver: [app]}
`+app)
	if err == nil || !strings.Contains(err.Error(), "postferry.yaml:4: mailboxes.a_b.password: the variable POSTFERRY_MAILBOXES__A_B__PASSWORD means this key and the one at ") {
		t.Errorf("%v", err)
	}
}

func TestVariableThatOverridesNothingIsWarnedOf(t *testing.T) {
	r, err := one(t, environ("POSTFERRY_MAILBOXES__M__PASWORD=c4n4ry", "POSTFERRY_SINKS__NONE__URL=x", "POSTFERRY_SINKS__APP__RATE=", "POSTFERRY_PORT=tcp://10.0.0.1", "OTHER=x"), whole)
	if err != nil {
		t.Fatal(err)
	}
	w := r.Warnings()
	if len(w) != 2 || !strings.HasPrefix(w[0], "the variable POSTFERRY_MAILBOXES__M__PASWORD overrides nothing") || !strings.HasPrefix(w[1], "the variable POSTFERRY_SINKS__NONE__URL overrides nothing") {
		t.Errorf("%q", w)
	}
	if strings.Contains(strings.Join(w, ""), "c4n4ry") {
		t.Errorf("the warning shows the value: %q", w)
	}
}

func TestNumbersComeFromVariables(t *testing.T) {
	r, err := one(t, environ("N=3", "PORT=8080", "ON=true", "WAIT=5s", "EMPTY="), `version: 1
sinks:
  app: {type: webhook, url: "https://app.example.com:${PORT}/", port: "${PORT}", concurrency: "${N}", strict: "${ON}", timeout: "${WAIT}", rate: "${N}/s", factor: "${N}.5"}
  file: {type: file, path: "${NAME:-out}", concurrency: "${EMPTY:-2}"}
`)
	if err != nil {
		t.Fatal(err)
	}
	k, s := r.webhook["app"], r.Sink("app")
	if k.URL != "https://app.example.com:8080/" || k.Port != 8080 || s.Concurrency != 3 || !*k.Strict || k.Timeout != 5*time.Second || s.Rate.Count != 3 || k.Factor != 3.5 || r.Sink("file").Concurrency != 2 {
		t.Errorf("%+v %+v", k, s)
	}
}

func TestConditionsTemplatesAndCommandsAreTakenAsTheyAre(t *testing.T) {
	const text = `{{ $x }} ${A} $${A} ${`
	r, err := one(t, environ("A=expanded"), `version: 1
mailboxes:
  m:
    server: imaps://a.example.com
    username: u
    password_command: [printf, "%s", '`+text+`']
    deliver: [{to: app, when: '`+text+`'}]
sinks:
  app: {type: webhook, url: https://app.example.com/, template: '`+text+`'}
`)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Mailbox("m")
	if m.Password.Reveal() != text || m.Deliver[0].When != text || r.webhook["app"].Template != text {
		t.Errorf("command %q, when %q, template %q", m.Password.Reveal(), m.Deliver[0].When, r.webhook["app"].Template)
	}
}

func TestVariablesAreReadFromTheProcessByDefault(t *testing.T) {
	t.Setenv("POSTFERRY_LISTEN", "127.0.0.1:9")
	t.Setenv("POSTFERRY_SINKS__NONE__URL", "x")
	r, err := one(t, config.Options{}, whole)
	if err != nil || r.Listen != "127.0.0.1:9" || len(r.Warnings()) != 1 {
		t.Errorf("listen %q, %q, %v", r.Listen, r.Warnings(), err)
	}
}
