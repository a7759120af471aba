package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
)

// checked is what `check -o json` answers.
type checked struct {
	OK       bool
	ExitCode int
	Targets  []struct {
		Kind, Name string
		OK         bool
		Steps      []checkedStep
	}
}

type checkedStep struct {
	Step, Status, Said, Fix, Warning string
	Transcript                       []struct{ From, Line string }
}

// check runs check -o json and reads its answer.
func (w *world) check(args ...string) (code int, c checked, out string) {
	w.t.Helper()
	code, stdout, stderr := w.run(append([]string{"check", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &c); err != nil {
		w.t.Fatalf("exit code %d, %v:\n%s%s", code, err, stdout, stderr)
	}
	return code, c, stdout + stderr
}

// steps are "name status" of each step of a target.
func (c checked) steps(kind string) (all []string) {
	for _, t := range c.Targets {
		if t.Kind == kind {
			for _, s := range t.Steps {
				all = append(all, s.Step+" "+s.Status)
			}
		}
	}
	return all
}

// tree is every file below a folder, with its octets.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCheckTellsEachStepAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(5, 1))
	implicit := []string{"DNS ok", "TCP ok", "TLS ok", "greeting ok", "sign-in ok", "capabilities ok", "folder INBOX ok", "sign-out ok"}
	inBand := []string{"DNS ok", "TCP ok", "greeting ok", "TLS ok", "sign-in ok", "capabilities ok", "folder INBOX ok", "sign-out ok"}
	clear := []string{"DNS ok", "TCP ok", "TLS warning", "greeting ok", "sign-in ok", "capabilities ok", "folder INBOX ok", "sign-out ok"}
	capabilitiesFirst := func(steps []string) []string { // POP3's say how to sign in
		i := slices.Index(steps, "sign-in ok")
		steps = slices.Clone(steps)
		steps[i], steps[i+1] = steps[i+1], steps[i]
		return steps
	}
	withFolder := slices.Insert(slices.Clone(implicit), 7, "folder Done ok")
	for _, c := range []struct {
		fact, scheme string
		more         []string
		steps        []string
		says         []string
	}{
		{"IMAP over TLS", "imaps", nil, implicit, []string{"certificate for localhost, 127.0.0.1, ::1 by postferry loopback authority, 29 days left", "by PLAIN", "UIDPLUS", "5 mails"}},
		{"IMAP with STARTTLS", "imap", nil, inBand, []string{"TLS 1.3", "5 mails"}},
		{"IMAP in clear text", "imap", []string{"insecure: true"}, clear, []string{"can be read on the way", "5 mails"}},
		{"IMAP that moves", "imaps", []string{"after: move:Done"}, withFolder, []string{"will be made when a mail is moved to it"}},
		{"POP3 over TLS", "pop3s", nil, capabilitiesFirst(implicit), []string{"29 days left", "UIDL", "5 mails of"}},
		{"POP3 with STLS", "pop3", nil, capabilitiesFirst(inBand), []string{"TLS 1.3", "5 mails of"}},
		{"POP3 in clear text", "pop3", []string{"insecure: true"}, capabilitiesFirst(clear), []string{"can be read on the way", "5 mails of"}},
	} {
		t.Run(c.fact, func(t *testing.T) {
			w := &world{t: t, dovecot: w.dovecot, receiver: mailtest.NewReceiver(t), binary: w.binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			w.mailbox(c.scheme, c.more...)
			unread := tree(t, filepath.Join(w.dovecot.CreateFolder(t, ada, "INBOX"), "new"))
			mails, flags := w.dovecot.Stored(t, ada, "INBOX"), w.dovecot.Flags(t, ada, "INBOX")
			files := tree(t, w.dir)

			code, got, out := w.check()
			if code != 0 || !got.OK || got.ExitCode != 0 {
				t.Fatalf("exit code %d:\n%s", code, out)
			}
			if steps := got.steps("mailbox"); !slices.Equal(steps, c.steps) {
				t.Errorf("steps %q, want %q", steps, c.steps)
			}
			for _, word := range append(c.says, "it will be made in", "requests are signed") {
				if !strings.Contains(out, word) {
					t.Errorf("%q is not said:\n%s", word, out)
				}
			}
			if strings.Contains(out, "transcript") {
				t.Error("there is a transcript that nobody asked for")
			}
			if after := tree(t, w.dir); !maps.Equal(after, files) {
				t.Errorf("files before %v, after %v", slices.Collect(maps.Keys(files)), slices.Collect(maps.Keys(after)))
			}
			if !reflect.DeepEqual(w.dovecot.Stored(t, ada, "INBOX"), mails) || !reflect.DeepEqual(w.dovecot.Flags(t, ada, "INBOX"), flags) {
				t.Error("mails or flags have changed")
			}
			// A mail that no session has had as \Recent stays in new/.
			if left := tree(t, filepath.Join(w.dovecot.CreateFolder(t, ada, "INBOX"), "new")); c.scheme[0] == 'i' && !maps.Equal(left, unread) {
				t.Errorf("%d mails are recent, before there were %d", len(left), len(unread))
			}
			if w.dovecot.Count(t, ada, "Done") != 0 || w.receiver.Count() != 0 {
				t.Error("a folder was made or a request sent")
			}
		})
	}
}

func TestCheckTextTellsMarkCauseFixAndWhatWasSkipped(t *testing.T) {
	w := newWorld(t)
	w.mailbox("imaps", "folders: [INBOXX]", "idle: false")
	code, out, stderr := w.run("check")
	if code != 75 {
		t.Errorf("exit code %d, want 75: %s", code, stderr)
	}
	for _, line := range []string{
		"config (postferry.yaml)\n  ✓ config ", "store (sqlite:" + filepath.Join(w.dir, "postferry.db") + ")\n  ✓ store ",
		"mailbox inbox (" + w.dovecot.URL("imaps") + ")\n  ✓ DNS ", "\n  ✗ folder INBOXX ", "has no such folder", "\n    fix:          did you mean \"INBOX\"?",
		"sink app (webhook)\n  ✓ DNS ", "\nfailed: mailbox inbox\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
	if stderr != "" {
		t.Errorf("standard error: %s", stderr)
	}
	w.write("mailboxes:\n" + w.box("inbox", "imaps", "stranger@example.com") + "\nsinks:\n" + w.sink("app", w.receiver.URL))
	if _, out, _ := w.run("check"); !strings.Contains(out, "  ✗ sign-in ") || !strings.Contains(out, "  - capabilities  skipped\n  - folder INBOX  skipped\n") {
		t.Errorf("what was skipped is not told:\n%s", out)
	}
}

func TestCheckLooksAtWhatIsNamed(t *testing.T) {
	w := newWorld(t)
	w.write(fmt.Sprintf("mailboxes:\n%s\n%s\nsinks:\n%s%s", w.box("first", "imaps", ada), w.box("second", "pop3s", ada, "deliver: [log]"),
		w.sink("app", w.receiver.URL), "  log: {type: file, path: mails.jsonl}\n"))
	for _, c := range []struct {
		args    []string
		targets []string
	}{
		{nil, []string{"config ", "store ", "mailbox first", "mailbox second", "sink app", "sink log"}},
		{[]string{"second"}, []string{"config ", "store ", "mailbox second"}},
		{[]string{"log", "first"}, []string{"config ", "store ", "mailbox first", "sink log"}},
	} {
		code, got, out := w.check(c.args...)
		var targets []string
		for _, t := range got.Targets {
			targets = append(targets, t.Kind+" "+t.Name)
		}
		if code != 0 || !slices.Equal(targets, c.targets) {
			t.Errorf("check %v: exit code %d, targets %q: %s", c.args, code, targets, out)
		}
	}
	if code, _, stderr := w.run("check", "secnd"); code != 64 || !strings.Contains(stderr, `did you mean "second"`) {
		t.Errorf("an unknown name: exit code %d: %s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "mails.jsonl")); err == nil {
		t.Error("the sink's file was made")
	}
}

func TestCheckOfABrokenConfigurationEndsThere(t *testing.T) {
	w := &world{t: t, binary: mailtest.BuildBinary(t), dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "postferry.yaml")
	w.write("mailboxes:\n  a: {server: \"imaps://127.0.0.1:1\", username: a, pasword: x, deliver: [nobody]}\nsinks: {}\n")
	code, got, out := w.check()
	if code != 78 || got.OK || got.ExitCode != 78 || !strings.Contains(out, "pasword") || !strings.Contains(out, "nobody") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if steps := got.steps("config"); !slices.Equal(steps[len(steps)-3:], []string{"store skipped", "mailboxes skipped", "sinks skipped"}) {
		t.Errorf("steps %q", steps)
	}
}

func TestCheckOfStoreAndFileSinks(t *testing.T) {
	binary := mailtest.BuildBinary(t)
	for _, c := range []struct {
		fact, store, sink string
		code              int
		says              string
	}{
		{"a store below a file", "sqlite:plain.txt/sub/x.db", "path: out.jsonl", 78, "plain.txt"},
		{"a store in a folder to be made", "sqlite:a/b/x.db", "path: out.jsonl", 0, "it and its folder will be made"},
		{"a store that is something else", "sqlite:plain.txt", "path: out.jsonl", 78, "is no SQLite database"},
		{"a store of a newer version", "sqlite:newer.db", "path: out.jsonl", 78, "written by a newer postferry"},
		{"a file that is there", "sqlite:x.db", "path: plain.txt", 0, "is there and can be written"},
		{"a file whose folder is missing", "sqlite:x.db", "path: none/out.jsonl", 69, "none"},
		{"a file that is a folder", "sqlite:x.db", "path: sub", 69, "is a folder"},
		{"a folder that is a file", "sqlite:x.db", "dir: plain.txt", 69, "is no folder"},
		{"a folder to be made", "sqlite:x.db", "dir: none/out", 0, "none/out is not there; it"},
		{"a format that is not lines of JSON", "sqlite:x.db", "{path: out.eml, format: raw}", 78, "lines of JSON"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			w := &world{t: t, binary: binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			if err := os.WriteFile(filepath.Join(w.dir, "plain.txt"), []byte("half a line"), 0o600); err != nil {
				t.Fatal(err)
			}
			newer := append([]byte("SQLite format 3\x00"), make([]byte, 84)...)
			newer[63] = 99 // PRAGMA user_version
			if err := os.WriteFile(filepath.Join(w.dir, "newer.db"), newer, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(w.dir, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			w.write(fmt.Sprintf("store: %s\nmailboxes:\n  a: {server: \"imaps://127.0.0.1:1\", username: a, password: x, deliver: [out]}\nsinks:\n  out: {type: file, %s}\n",
				c.store, strings.Trim(c.sink, "{}")))
			before := tree(t, w.dir)
			code, _, out := w.check("out")
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.says, out)
			}
			if !maps.Equal(tree(t, w.dir), before) {
				t.Error("files have changed")
			}
		})
	}
}

func TestCheckBesideARunningService(t *testing.T) {
	w := newWorld(t)
	w.fill(mailtest.Mix(2, 1))
	w.mailbox("imaps")
	p := w.start("run")
	w.receiver.Wait(t, 2)
	code, _, out := w.check()
	if code != 0 || !strings.Contains(out, fmt.Sprintf("a service runs on it (pid %d", p.PID)) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
