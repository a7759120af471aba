package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/postferry/postferry/config"
)

// rich has a value of every kind and from every place.
const rich = `version: 1
store: sqlite:mail.db
quota: 2000MB
retain: 24h
x-team: &team {username: team, password: "${TEAM_PASSWORD}"}
defaults:
  schedule: "@every 2m"
  tls: {ca_file: ca.pem}
  after: flag:$Ferried
  backfill: none
mailboxes:
  m:
    <<: *team
    server: imaps://imap.example.com
    settle_wait: 5s
    folders: [INBOX, "${FOLDER}", "010"]
    search: {since: 48h}
    deliver:
      - {to: app, when: 'subject == "${x}" && true', stop: true}
      - lines
  file:
    server: pop3s://pop.example.com
    username: f
    password_file: pw
    deliver: [lines]
  command:
    server: pop3s://pop.example.com
    username: c
    password_command: [sh, -c, "echo p5${x}"]
    deliver: [lines]
sinks:
  app:
    type: webhook
    url: https://user:${HOOK_PASSWORD}@app.example.com/
    secret: ${HOOK_SECRET}
    secrets: [a, "${HOOK_SECRET}"]
    headers: {X-Api.Key: k, Accept: yes}
    timeout: 60s
    port: 0x50
    strict: false
    factor: .5
    template: "{{ $x }} ${x}\n  two\n"
    extra: {n: 010, b: yes, t: true, s: "10", e: "", l: [1, "1", [~]], Mixed.Case: "$${x}"}
    rate: 600/1m
    retry: {delays: [1s, 60s], for: 24h}
  lines: {type: file, path: out.jsonl, format: native, retry: none}
`

func richOptions() config.Options {
	return environ("TEAM_PASSWORD=p1", "FOLDER=true", "HOOK_PASSWORD=p2", "HOOK_SECRET=p3", "POSTFERRY_LISTEN=127.0.0.1:1", "POSTFERRY_SINKS__APP__PORT=81")
}

func richDir(t *testing.T) string {
	return write(t, map[string]string{"postferry.yaml": rich, "pw": "p4\n"})
}

func TestShowIsTheWholeConfiguration(t *testing.T) {
	dir := richDir(t)
	var out bytes.Buffer
	if err := mustLoad(t, richOptions(), dir+"/postferry.yaml").Show(&out); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/show.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(out.String(), dir, "DIR"); got != string(want) {
		t.Errorf("shown is\n%s\nwant\n%s", got, want)
	}
}

// Without secrets, what is shown loads again to the very same, and is shown the
// same again.
func TestShownConfigurationLoadsAgain(t *testing.T) {
	text := rich
	for _, line := range []string{"    url: https://user:${HOOK_PASSWORD}@app.example.com/\n", "    secret: ${HOOK_SECRET}\n", "    secrets: [a, \"${HOOK_SECRET}\"]\n", "    headers: {X-Api.Key: k, Accept: yes}\n"} {
		if !strings.Contains(text, line) {
			t.Fatalf("no %s", line)
		}
		text = strings.Replace(text, line, "", 1)
	}
	text = strings.Replace(text, "  app:\n", "  app:\n    url: https://app.example.com/$${x}\n", 1)
	text = strings.Replace(text, `password: "${TEAM_PASSWORD}"`, `password_command: [echo, x]`, 1)
	dir := write(t, map[string]string{"postferry.yaml": text, "pw": "p4\n"})
	first := mustLoad(t, richOptions(), dir+"/postferry.yaml")
	var shown bytes.Buffer
	if err := first.Show(&shown); err != nil {
		t.Fatal(err)
	}
	again := write(t, map[string]string{"again.yaml": shown.String()}) + "/again.yaml"
	second := mustLoad(t, environ(), again)
	for _, m := range first.Mailboxes {
		if !m.Equal(second.Mailbox(m.Name)) {
			t.Errorf("mailbox %s is another one when loaded from\n%s", m.Name, shown.String())
		}
	}
	for _, s := range first.Sinks {
		if !s.Equal(second.Sink(s.Name)) {
			t.Errorf("sink %s is another one when loaded from\n%s", s.Name, shown.String())
		}
	}
	if first.Store != second.Store || first.Retain != second.Retain || first.Listen != second.Listen || first.Quota != second.Quota {
		t.Errorf("%+v is not %+v", first.Config, second.Config)
	}
	if got, want := fmt.Sprintf("%#v", second.webhook["app"].Extra), fmt.Sprintf("%#v", first.webhook["app"].Extra); got != want {
		t.Errorf("extra is %s, was %s", got, want)
	}
	if got, want := second.webhook["app"].Template, first.webhook["app"].Template; got != want {
		t.Errorf("template is %q, was %q", got, want)
	}
	var twice bytes.Buffer
	if err := second.Show(&twice); err != nil {
		t.Fatal(err)
	}
	if got, want := bare(twice.String()), bare(shown.String()); got != want {
		t.Errorf("shown again\n%s\nwas\n%s", got, want)
	}
}

// bare takes the comments off, which say where a value came from.
func bare(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for _, mark := range []string{" # default", " # $POSTFERRY"} {
			line, _, _ = strings.Cut(line, mark)
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

const canary = "c4n4ry+p4ss"

// leaks renders v in every way a program might and gives the renderings that
// show the canary.
func leaks(t *testing.T, v any) []string {
	t.Helper()
	var all []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		all = append(all, fmt.Sprintf(verb, v))
	}
	if out, err := json.Marshal(v); err == nil {
		all = append(all, string(out))
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v)
	all = append(all, log.String())
	var found []string
	for _, text := range all {
		lower := strings.ToLower(text)
		if strings.Contains(text, canary) || strings.Contains(lower, fmt.Sprintf("%x", canary)) || strings.Contains(text, "c4n4ry%2Bp4ss") {
			found = append(found, text)
		}
	}
	return found
}

// A secret that was given in any of the ways there are is in nothing that can be
// printed.
func TestSecretsAreNeverShown(t *testing.T) {
	hook := "version: 1\nsinks:\n  app:\n    type: webhook\n    url: https://app.example.com/\n    "
	for _, c := range []struct{ name, text string }{
		{"in the file", withPassword("password: " + canary)},
		{"in quotes", withPassword(`password: "c4n4\u0072y+p4ss"`)},
		{"in a block of text", withPassword("password: |-\n      " + canary)},
		{"in a variable", withPassword("password: ${SECRET}")},
		{"beside a variable", withPassword("password: c4n4ry${PLUS}")},
		{"as a fallback", withPassword("password: ${UNSET:-" + canary + "}")},
		{"in a file", withPassword("password_file: secret")},
		{"by a command", withPassword("password_command: [cat, secret]")},
		{"in a variable that overrides", withPassword("password:")},
		{"by an anchor", "x-a: &a " + canary + "\n" + withPassword("password: *a")},
		{"by a merge key", "x-a: &a {password: " + canary + "}\n" + withPassword("<<: *a")},
		{"in the defaults", "defaults: {password: " + canary + "}\n" + withPassword("")},
		{"in a nested block", withPassword("oauth2: {client_secret: " + canary + "}")},
		{"in a sink", hook + "secret: " + canary + "\n"},
		{"in a list", hook + "secrets: [" + canary + ", '${SECRET}']\n"},
		{"in a header", hook + "headers: {Authorization: " + canary + "}\n"},
		{"in a URL", strings.Replace(hook, "https://", "https://user:"+canary+"@", 1) + "\n"},
		{"in a URL, with an @", strings.Replace(hook, "https://", "https://user:"+canary+"@@", 1) + "\n"},
		{"in the query of a URL", strings.Replace(hook, "example.com/", "example.com/hook?token="+canary, 1) + "\n"},
		{"in the path of a URL, by a variable", strings.Replace(hook, "example.com/", "example.com/services/${SECRET}", 1) + "\n"},
		{"in a URL that is a variable", strings.Replace(hook, "https://app.example.com/", "${URL}", 1) + "\n"},
		{"in a URL, by a variable", strings.Replace(hook, "https://", "https://user:${SECRET}@", 1) + "\n"},
	} {
		dir := write(t, map[string]string{"postferry.yaml": c.text, "secret": canary + "\n"})
		o := environ("SECRET="+canary, "URL=https://chat.example.com/services/"+canary, "PLUS=+p4ss", "POSTFERRY_MAILBOXES__NONE__PASSWORD="+canary)
		if c.name == "in a variable that overrides" {
			o = environ("POSTFERRY_MAILBOXES__M__PASSWORD=" + canary)
		}
		r, err := load([]string{dir + "/postferry.yaml"}, o)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := os.Chmod(dir+"/postferry.yaml", 0o644); err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		if err := r.Show(&shown); err != nil {
			t.Fatal(err)
		}
		values := []any{shown.String(), r.Warnings(), r.Config, *r.Config}
		for _, m := range r.Mailboxes {
			values = append(values, m, *m, m.Section, m.Deliver, m.Password)
		}
		for _, s := range r.Sinks {
			values = append(values, s, *s, s.Section)
		}
		for _, v := range values {
			for _, leak := range leaks(t, v) {
				t.Errorf("%s: %T shows the secret: %s", c.name, v, leak)
			}
		}
		if !strings.Contains(shown.String(), "********") && !strings.Contains(c.text, "_file") && !strings.Contains(c.text, "_command") {
			t.Errorf("%s: no mask in\n%s", c.name, shown.String())
		}
	}
}

// The same where the configuration is wrong: a secret in the wrong place, or
// beside what is wrong.
func TestErrorsShowNoSecret(t *testing.T) {
	hook := "version: 1\nsinks:\n  app:\n    type: webhook\n    url: https://app.example.com/\n    "
	for _, c := range []struct{ name, text string }{
		{"password with a line break", withPassword(`password: "c4n4ry+p4ss\nx"`)},
		{"password twice", withPassword("password: " + canary + "\n    password_file: secret")},
		{"password in the server", strings.Replace(withPassword("password: p"), "imaps://", "imaps://u:"+canary+"@", 1)},
		{"password as a broken server", strings.Replace(withPassword("password: p"), "imaps://", "imaps://u:"+canary+"@%zz", 1)},
		{"variable in the wrong place", withPassword("password: p\n    schedule: ${SECRET}")},
		{"variable in a number", hook + "concurrency: ${SECRET}\n"},
		{"variable in a word", hook + "attachments: ${SECRET}\n"},
		{"variable in a time", hook + "timeout: ${SECRET}\n"},
		{"variable in a rate", hook + "rate: ${SECRET}\n"},
		{"variable in a route", strings.Replace(withPassword("password: p"), "[app]", "['${SECRET}']", 1)},
		{"variable in the store", "store: ${SECRET}\n" + withPassword("password: p")},
		{"variable in listen", "listen: ${SECRET}\n" + withPassword("password: p")},
		{"list of secrets without brackets", hook + "secrets: " + canary + "\n"},
		{"secret where a block is wanted", hook + "headers: " + canary + "\n"},
		{"block where a secret is wanted", hook + "secret: {value: " + canary + "}\n"},
		{"misspelt key", withPassword("passwrod: " + canary)},
		{"tag", withPassword("password: !x " + canary)},
		{"not YAML after it", withPassword("password: " + canary + "\n   bad: [")},
		{"not YAML in it", withPassword(`password: "` + canary + `\q"`)},
		{"a reference that is none", withPassword("password: c4n4ry${+p4ss}")},
	} {
		dir := write(t, map[string]string{"postferry.yaml": c.text, "secret": canary + "\n"})
		_, err := load([]string{dir + "/postferry.yaml"}, environ("SECRET="+canary))
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, leak := range leaks(t, err) {
			t.Errorf("%s: %s", c.name, leak)
		}
		var all config.Errors
		if errors.As(err, &all) {
			for _, one := range all {
				for _, leak := range leaks(t, *one) {
					t.Errorf("%s: %s", c.name, leak)
				}
			}
		}
	}
}
