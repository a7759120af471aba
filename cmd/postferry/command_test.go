package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// program runs the built program in a folder of its own.
func program(t *testing.T, dir, stdin string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := mailtest.StartProc(t, mailtest.Command{Path: mailtest.BuildBinary(t), Args: args, Dir: dir, Env: env, Stdin: strings.NewReader(stdin)})
	code = p.Wait(t, time.Minute)
	return code, p.Stdout.String(), p.Stderr.String()
}

func TestDemoDeliversItsSamplesAndLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	code, out, stderr := program(t, t.TempDir(), "", []string{"TMPDIR=" + tmp}, "demo", "--once")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	var subjects []string
	for line := range strings.Lines(out) {
		var event struct {
			ID, Type string
			Data     struct{ Message struct{ Subject string } }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if event.Type != "message.received" || !strings.HasPrefix(event.ID, "msg_") {
			t.Errorf("event %s of type %s", event.ID, event.Type)
		}
		subjects = append(subjects, event.Data.Message.Subject)
	}
	if len(subjects) < 6 {
		t.Errorf("%d events: %q", len(subjects), subjects)
	}
	slices.Sort(subjects)
	if len(slices.Compact(subjects)) < 6 {
		t.Errorf("a mail came twice: %q", subjects)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestDemoShowsAnAcknowledgementAndAReply(t *testing.T) {
	code, _, said := program(t, t.TempDir(), "", nil, "demo", "--once")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	for _, want := range []string{"  Subject: Auto: Order 1042 is late\n", "  Subject: Re: Order 1042 is late\n", "  In-Reply-To: <caf3.91@mail.customer.example>\n", "  | > still nothing here"} {
		if !strings.Contains(said, want) {
			t.Errorf("the demo does not show %q:\n%s", want, said)
		}
	}
	for _, not := range []string{"monitor@", "MAILER-DAEMON", "news@"} {
		if strings.Contains(said, "To: "+not) {
			t.Errorf("the demo answers %s", not)
		}
	}
}

func TestParsePrintsOneDocumentPerFileInOrder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.eml": "Subject: one\r\n\r\nfirst\r\n", "b.eml": "Subject: two\r\n\r\nsecond\r\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	subjects := func(out string) (all []string) {
		for line := range strings.Lines(out) {
			var m struct{ Subject string }
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			all = append(all, m.Subject)
		}
		return all
	}
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		subjects    []string
	}{
		{"files", "", []string{"b.eml", "a.eml"}, 0, []string{"two", "one"}},
		{"standard input", "Subject: three\r\n\r\n", []string{"a.eml", "-"}, 0, []string{"one", "three"}},
		{"a list on standard input", "a.eml\nb.eml\n", []string{"--files-from", "-"}, 0, []string{"one", "two"}},
		{"one that is missing", "", []string{"a.eml", "none.eml", "b.eml"}, 65, []string{"one", "two"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, stderr := program(t, dir, c.stdin, nil, append([]string{"parse"}, c.args...)...)
			if got := subjects(out); code != c.code || !slices.Equal(got, c.subjects) {
				t.Errorf("exit code %d, subjects %q: %s", code, got, stderr)
			}
			if c.code != 0 && !strings.Contains(stderr, "none.eml") {
				t.Errorf("the missing file is not named: %s", stderr)
			}
		})
	}
	together, err := exec.Command("sh", "-c", mailtest.BuildBinary(t)+" parse "+filepath.Join(dir, "a.eml")+" none.eml 2>&1").Output()
	if lines := strings.Split(string(together), "\n"); err == nil || len(lines) != 3 || !strings.HasSuffix(lines[0], "}") || !strings.HasPrefix(lines[1], "postferry: ") {
		t.Errorf("documents and errors mix where both go to one place (%v):\n%s", err, together)
	}
	if code, out, stderr := program(t, dir, "Subject: four\r\n\r\n", nil, "parse", "/dev/stdin"); code != 0 || !slices.Equal(subjects(out), []string{"four"}) {
		t.Errorf("a pipe: exit code %d, %s: %s", code, out, stderr)
	}
	if code, out, _ := program(t, dir, "", nil, "parse", "--format", "raw", "a.eml"); code != 0 || out != "Subject: one\r\n\r\nfirst\r\n" {
		t.Errorf("raw: exit code %d, %q", code, out)
	}
}

func TestExitCodesAndTheOneLineBehindThem(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", "version: 1\nmailboxes:\n  a: {server: imaps://mail.example, username: a, password: canary-1, deliver: [out]}\nsinks:\n  out: {type: file, path: out.jsonl}\n")
	typo := write("typo.yaml", "version: 1\nmailboxes:\n  a: {server: imaps://mail.example, username: a, shedule: \"@every 5m\", password: canary-1, deliver: [out]}\nsinks:\n  out: {type: file, path: out.jsonl}\n")
	kind := write("kind.yaml", "version: 1\nmailboxes:\n  a: {server: imaps://mail.example, username: a, password: canary-1, deliver: [out]}\nsinks:\n  out: {type: webhok, url: https://x.example}\n")
	pop := write("pop.yaml", "version: 1\nmailboxes:\n  a: {server: pop3s://mail.example, username: a, password: canary-1, after: seen, backfill: none, deliver: [out]}\nsinks:\n  out: {type: file, path: out.jsonl}\n")
	when := write("when.yaml", "version: 1\nmailboxes:\n  a: {server: imaps://mail.example, username: a, password: canary-1, deliver: [{to: out, when: 'has(message.subjekt, \"x\")'}]}\nsinks:\n  out: {type: file, path: out.jsonl}\n")
	port := write("port.yaml", "version: 1\nmailboxes:\n  a: {server: \"imaps://mail.example:99999\", username: a, password: canary-1, deliver: [out]}\nsinks:\n  out: {type: file, path: out.jsonl}\n")
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"version", []string{"version"}, 0, []string{"postferry", "go1."}},
		{"no such command", []string{"rum"}, 64, []string{"rum", "run"}},
		{"no such flag", []string{"run", "--onec"}, 64, []string{"--onec"}},
		{"an argument too many", []string{"run", "now"}, 64, []string{"now"}},
		{"parse without a file", []string{"parse"}, 64, []string{"FILE"}},
		{"a format that is not there", []string{"parse", "--format", "nativ", good}, 64, []string{"nativ", "native"}},
		{"no configuration", []string{"run", "-c", filepath.Join(dir, "none.yaml")}, 78, []string{"none.yaml"}},
		{"a key misspelt", []string{"run", "-c", typo}, 78, []string{"typo.yaml:3", "shedule", "schedule"}},
		{"a kind misspelt", []string{"config", "show", "-c", kind}, 78, []string{"kind.yaml:5", "webhok", "webhook"}},
		{"an action POP3 has not", []string{"config", "show", "-c", pop}, 78, []string{"pop.yaml:3", "after", "delete"}},
		{"a field misspelt in when", []string{"config", "show", "-c", when}, 78, []string{"when.yaml:3", "subjekt", "subject"}},
		{"a port that cannot be", []string{"config", "show", "-c", port}, 78, []string{"port.yaml:3", "between 1 and 65535"}},
		{"a replay to no URL of the web", []string{"replay", "1", "--to", "ftp://example.com/", "-c", good}, 64, []string{"https://host/path"}},
		{"a store that is not there", []string{"status", "-c", good}, 69, []string{"no store"}},
		{"a store that is something else", []string{"status", "-c", good, "--store", "sqlite:" + typo}, 78, []string{"no store of postferry"}},
		{"running on something else", []string{"run", "--once", "-c", good, "--store", "sqlite:" + typo}, 78, []string{"no store of postferry"}},
		{"tail with nobody running", []string{"tail", "-c", good}, 69, []string{"no postferry is running"}},
		{"config show", []string{"config", "show", "-c", good}, 0, []string{"mail.example"}},
		{"flags before the command", []string{"-c", good, "config", "show"}, 0, []string{"mail.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, stderr := program(t, t.TempDir(), "", nil, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, stderr)
			}
			for _, word := range c.says {
				if !strings.Contains(out+stderr, word) {
					t.Errorf("it does not say %q: %s%s", word, out, stderr)
				}
			}
			if strings.Contains(out+stderr, "canary-1") {
				t.Error("the password is shown")
			}
			if c.code != 0 && strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
				t.Errorf("more than one line:\n%s", stderr)
			}
		})
	}
}

func TestInitWritesAConfigurationThatLoadsAndOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	code, _, stderr := program(t, dir, "", nil, "init")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	info, err := os.Stat(filepath.Join(dir, "postferry.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, error %v", info.Mode(), err)
	}
	if code, _, stderr := program(t, dir, "", documented, "config", "show"); code != 0 {
		t.Errorf("config show exits with %d: %s", code, stderr)
	}
	if code, _, stderr := program(t, dir, "", nil, "init"); code != 64 || !strings.Contains(stderr, "overwrites nothing") {
		t.Errorf("a second time: exit code %d: %s", code, stderr)
	}
	if code, out, _ := program(t, dir, "", nil, "init", "-"); code != 0 || !strings.HasPrefix(out, "# postferry's configuration") {
		t.Errorf("to standard output: exit code %d: %s", code, out)
	}
}
