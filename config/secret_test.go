package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withPassword is a configuration whose one mailbox has that line for its
// password.
func withPassword(line string) string {
	return "version: 1\nmailboxes:\n  m:\n    server: imaps://a.example.com\n    username: u\n    " + line + "\n    deliver: [app]\n" + app
}

func TestSecretsFromFiles(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"plain", "pw", "pw"},
		{"newline", "pw\n", "pw"},
		{"crlf", "pw\r\n", "pw"},
		{"spaces", " pw \n", " pw "},
		{"reference", "${A}", "${A}"},
		{"bytes", "p\xe4w", "p\xe4w"},
	} {
		dir := write(t, map[string]string{"conf/postferry.yaml": withPassword("password_file: ../keys/pw"), "keys/pw": c.content})
		r := mustLoad(t, environ("A=expanded"), dir+"/conf/postferry.yaml")
		if got := r.Mailbox("m").Password.Reveal(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSecretFilesThatCannotBeRight(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"empty", "", "mailboxes.m.password_file: the secret is empty"},
		{"only a line end", "\n", "mailboxes.m.password_file: the secret is empty"},
		{"two lines", "a\nb\n", "mailboxes.m.password_file: the password has a line break"},
		{"large", strings.Repeat("x", 64<<10+1), "is larger than 64 KiB"},
	} {
		dir := write(t, map[string]string{"postferry.yaml": withPassword("password_file: pw"), "pw": c.content})
		if _, err := load([]string{dir + "/postferry.yaml"}, environ()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	dir := write(t, map[string]string{"postferry.yaml": withPassword("password_file: keys"), "keys/pw": "x"})
	if _, err := load([]string{dir + "/postferry.yaml"}, environ()); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}

func TestReadableSecretsAreWarnedOf(t *testing.T) {
	dir := write(t, map[string]string{"postferry.yaml": withPassword("password_file: pw"), "clear.yaml": withPassword("password: c4n4ry"), "variable.yaml": withPassword("password: ${P}"), "pw": "c4n4ry"})
	for _, c := range []struct {
		file string
		mode os.FileMode
		on   string
		want string
	}{
		{"postferry.yaml", 0o600, "pw", ""},
		{"postferry.yaml", 0o640, "pw", ""},
		{"postferry.yaml", 0o644, "pw", dir + "/pw: every user of this machine can read it (mode 0644) and it holds a secret (mailboxes.m.password_file); run chmod 600 " + dir + "/pw"},
		{"clear.yaml", 0o600, "clear.yaml", ""},
		{"clear.yaml", 0o644, "clear.yaml", dir + "/clear.yaml: every user of this machine can read it (mode 0644) and it holds secrets in clear (mailboxes.m.password); run chmod 600 " + dir + "/clear.yaml"},
		{"variable.yaml", 0o644, "variable.yaml", ""},
	} {
		if err := os.Chmod(filepath.Join(dir, c.on), c.mode); err != nil {
			t.Fatal(err)
		}
		r := mustLoad(t, environ("P=x"), filepath.Join(dir, c.file))
		if got := strings.Join(r.Warnings(), "\n"); got != c.want {
			t.Errorf("%s, %s with mode %o: %q, want %q", c.file, c.on, c.mode, got, c.want)
		}
	}
	r := mustLoad(t, environ("CREDENTIALS_DIRECTORY="+dir), dir+"/postferry.yaml")
	if w := r.Warnings(); len(w) != 0 {
		t.Errorf("systemd's own folder: %q", w)
	}
}

func TestSecretsFromCommands(t *testing.T) {
	dir := write(t, map[string]string{"conf/postferry.yaml": withPassword("PLACE"), "conf/sub/where": ""})
	for _, c := range []struct{ command, want string }{
		{`[echo, pw]`, "pw"},
		{`[printf, "pw\\r\\n"]`, "pw"},
		{`[echo, "$HOME; id > x | cat ` + "`id`" + `"]`, "$HOME; id > x | cat `id`"}, // no shell
		{`[sh, -c, "cat; echo pw"]`, "pw"},                                           // no input
		{`[sh, -c, "echo noise >&2; echo pw"]`, "pw"},
		{`[basename, conf/sub/where]`, "where"},
		{`[ls, sub]`, "where"},                    // in the folder of the file
		{`[sh, -c, "sleep 100 & echo pw"]`, "pw"}, // what it leaves running does not hold it up
	} {
		if err := os.WriteFile(dir+"/conf/postferry.yaml", []byte(withPassword("password_command: "+c.command)), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := load([]string{dir + "/conf/postferry.yaml"}, environ())
		if err != nil {
			t.Errorf("%s: %v", c.command, err)
		} else if got := r.Mailbox("m").Password.Reveal(); got != c.want {
			t.Errorf("%s: %q, want %q", c.command, got, c.want)
		}
	}
}

func TestCommandsThatFailAreNamedWithoutTheSecret(t *testing.T) {
	for _, c := range []struct{ command, want string }{
		{`[sh, -c, "echo c4n4ry; echo gone wrong >&2; exit 3"]`, "run sh: exit status 3; it said: gone wrong"},
		{`[sh, -c, "echo c4n4ry; echo got c4n4ry >&2; exit 3"]`, "run sh: exit status 3; it said: got ********"},
		{`[sh, -c, "echo c4n4ry; exit 3", --token=c4n4ry]`, "run sh: exit status 3; it said nothing"},
		{`[sh, -c, "kill -9 $$"]`, "run sh: signal: killed; it said nothing"},
		{`[no-such-program-here, c4n4ry]`, `run no-such-program-here: exec: "no-such-program-here": executable file not found in $PATH; it said nothing`},
		{`[sh, -c, "head -c 70000 /dev/zero"]`, "sh wrote more than 64 KiB"},
		{`["true"]`, "the secret is empty"},
		{`[sh, -c, "printf 'a\\033[31mb' >&2; exit 1"]`, `run sh: exit status 1; it said: "a\x1b[31mb"`},
		{`[]`, "the secret is empty"},
	} {
		_, err := one(t, environ(), withPassword("password_command: "+c.command))
		if err == nil || !strings.HasSuffix(err.Error(), "postferry.yaml:6: mailboxes.m.password_command: "+c.want) {
			t.Errorf("%s: %v, want %q", c.command, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "c4n4ry") {
			t.Errorf("%s: the error shows the secret: %v", c.command, err)
		}
	}
}

func TestSkippedSecretsAreNotAskedFor(t *testing.T) {
	dir := write(t, map[string]string{"file.yaml": withPassword("password_file: nowhere"), "command.yaml": withPassword(`password_command: [sh, -c, "touch ran"]`)})
	o := environ()
	o.SkipSecrets = true
	for _, file := range []string{"file.yaml", "command.yaml"} {
		r := mustLoad(t, o, filepath.Join(dir, file))
		if p := r.Mailbox("m").Password; !p.IsZero() {
			t.Errorf("%s: password %q", file, p.Reveal())
		}
	}
	if _, err := os.Stat(dir + "/ran"); err == nil {
		t.Error("the command ran")
	}
}

func TestEverySecretOfASectionHasItsTwins(t *testing.T) {
	dir := write(t, map[string]string{"postferry.yaml": `version: 1
mailboxes:
  m: {server: imaps://a.example.com, username: u, oauth2: {client_id: c, client_secret_file: key}, deliver: [app]}
sinks:
  app: {type: webhook, url: https://app.example.com/, secret_command: [echo, one], secrets: ["${S}", two]}
`, "key": "three\n"})
	r := mustLoad(t, environ("S=zero"), dir+"/postferry.yaml")
	k := r.webhook["app"]
	if k.Secret.Reveal() != "one" || k.Secrets[0].Reveal() != "zero" || k.Secrets[1].Reveal() != "two" || r.Mailbox("m").OAuth2.ClientSecret.Reveal() != "three" {
		t.Errorf("secrets are not as given: %s", fmt.Sprint(k.Secret.Reveal(), r.Mailbox("m").OAuth2.ClientSecret.Reveal()))
	}
}
