package config_test

import (
	"os"
	"strings"
	"testing"
)

const before = `version: 1
defaults: {schedule: "@every 1m"}
mailboxes:
  m:
    server: imaps://imap.example.com
    username: u
    password: ${P}
    tls: {ca_file: ca.pem}
    folders: [A, B]
    deliver: [{to: app, when: "true"}, app]
  other: {server: pop3s://pop.example.com, username: u, password: p, deliver: [app]}
sinks:
  app: {type: webhook, url: https://app.example.com/, secret_file: key, timeout: 60s, headers: {X: y}, extra: {a: [1]}}
  other: {type: file, path: out}
`

// TestReloadSeesWhatChanged changes one thing in the files or variables and says
// which mailboxes and sinks are not what they were.
func TestReloadSeesWhatChanged(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		changed        string
	}{
		{"nothing", "", "", ""},
		{"a comment", "version: 1\n", "# hello\nversion: 1\n", ""},
		{"the order of keys", "    username: u\n    password: ${P}\n", "    password: ${P}\n    username: u\n", ""},
		{"the same password, written out", "${P}", "p1", ""},
		{"the same time, written otherwise", "60s", "1m", ""},
		{"a default written out", "    username: u\n", "    username: u\n    after: keep\n    idle: true\n", ""},
		{"a default left empty", "    username: u\n", "    username: u\n    after:\n", ""},
		{"a nested default written out", "{ca_file: ca.pem}", `{min_version: "1.2", ca_file: ca.pem}`, ""},
		{"a block of defaults written out", "{type: file, path: out}", "{type: file, path: out, retry: {every: 24h}}", ""},
		{"what was inherited written out", "    username: u\n", "    username: u\n    schedule: \"@every 1m\"\n", ""},
		{"blocks for braces", "{type: file, path: out}", "\n    type: file\n    path: out", ""},
		{"a default for all", "@every 1m", "@every 2m", "mailboxes.m mailboxes.other"},
		{"a top-level key", "version: 1\n", "version: 1\nretain: 1d\n", ""},
		{"the server", "imap.example.com", "imap2.example.com", "mailboxes.m"},
		{"the password", "${P}", "p2", "mailboxes.m"},
		{"a key of the kind", "[A, B]", "[A, C]", "mailboxes.m"},
		{"the order of a list", "[A, B]", "[B, A]", "mailboxes.m"},
		{"one more in a list", "[A, B]", "[A, B, C]", "mailboxes.m"},
		{"a nested key", "ca.pem", "ca2.pem", "mailboxes.m"},
		{"a condition", `when: "true"`, `when: "false"`, "mailboxes.m"},
		{"a sink's key", "timeout: 60s", "timeout: 61s", "sinks.app"},
		{"a sink's header", "X: y", "X: z", "sinks.app"},
		{"a header more", "X: y", "X: y, Z: z", "sinks.app"},
		{"something free", "a: [1]", "a: [\"2\"]", "sinks.app"},
		{"a type", "{type: file, path: out}", "{type: webhook, url: https://out.example.com/}", "sinks.other"},
		{"the secret's place", "secret_file: key", "secret_file: key2", "sinks.app"},
		{"a name", "  other: {type", "  third: {type", "sinks.other"},
	} {
		dir := write(t, map[string]string{"postferry.yaml": before, "key": "k", "key2": "k"})
		old := mustLoad(t, environ("P=p1"), dir+"/postferry.yaml")
		if !strings.Contains(before, c.from) {
			t.Fatalf("%s: no %q", c.name, c.from)
		}
		if err := os.WriteFile(dir+"/postferry.yaml", []byte(strings.Replace(before, c.from, c.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := changes(old, mustLoad(t, environ("P=p1"), dir+"/postferry.yaml")); got != c.changed {
			t.Errorf("%s: changed %q, want %q", c.name, got, c.changed)
		}
	}
}

func changes(old, now read) string {
	var changed []string
	for _, m := range old.Mailboxes {
		if !m.Equal(now.Mailbox(m.Name)) {
			changed = append(changed, m.Section.Path())
		}
	}
	for _, s := range old.Sinks {
		if !s.Equal(now.Sink(s.Name)) {
			changed = append(changed, s.Section.Path())
		}
	}
	return strings.Join(changed, " ")
}

func TestReloadSeesWhatChangedOutsideTheFile(t *testing.T) {
	dir := write(t, map[string]string{"postferry.yaml": before, "key": "k"})
	old := mustLoad(t, environ("P=p1"), dir+"/postferry.yaml")
	if got := changes(old, mustLoad(t, environ("P=p2"), dir+"/postferry.yaml")); got != "mailboxes.m" {
		t.Errorf("another variable changed %q", got)
	}
	if got := changes(old, mustLoad(t, environ("P=p1", "POSTFERRY_MAILBOXES__OTHER__USERNAME=v"), dir+"/postferry.yaml")); got != "mailboxes.other" {
		t.Errorf("a variable that overrides changed %q", got)
	}
	if err := os.WriteFile(dir+"/key", []byte("k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := changes(old, mustLoad(t, environ("P=p1"), dir+"/postferry.yaml")); got != "" {
		t.Errorf("a line end in the secret's file changed %q", got)
	}
	if err := os.WriteFile(dir+"/key", []byte("k2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := changes(old, mustLoad(t, environ("P=p1"), dir+"/postferry.yaml")); got != "sinks.app" {
		t.Errorf("another secret in the file changed %q", got)
	}
}

func TestWhatIsNotThereIsEqualToNothing(t *testing.T) {
	r, err := one(t, environ(), whole)
	if err != nil {
		t.Fatal(err)
	}
	if r.Mailbox("none").Equal(r.Mailbox("m")) || r.Mailbox("m").Equal(nil) || r.Sink("none").Equal(nil) || !r.Sink("app").Equal(r.Sink("app")) {
		t.Error("nil is equal to something")
	}
}
