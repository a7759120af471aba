package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/config"
)

// write makes the files in a new folder, which it gives.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// one loads a single file with that text.
func one(t *testing.T, o config.Options, text string) (read, error) {
	t.Helper()
	return load([]string{filepath.Join(write(t, map[string]string{"postferry.yaml": text}), "postferry.yaml")}, o)
}

const mailbox = `
    server: imaps://imap.example.com
    username: u
    password: p
    deliver: [app]
`

const app = `
sinks:
  app: {type: webhook, url: https://app.example.com/}
`

const whole = "version: 1\nmailboxes:\n  m:" + mailbox + app

func TestSearchPathWithoutFiles(t *testing.T) {
	for _, c := range []struct {
		vars []string
		want []string
	}{
		{[]string{"XDG_CONFIG_HOME=/x", "HOME=/home/u"}, []string{"postferry.yaml", "/x/postferry/postferry.yaml", "/etc/postferry/postferry.yaml"}},
		{[]string{"XDG_CONFIG_HOME=", "HOME=/home/u"}, []string{"postferry.yaml", "/home/u/.config/postferry/postferry.yaml", "/etc/postferry/postferry.yaml"}},
		{nil, []string{"postferry.yaml", "/etc/postferry/postferry.yaml"}},
	} {
		if got := config.SearchPath(environ(c.vars...).Lookup); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.vars, got, c.want)
		}
	}
}

func TestFirstFileOfSearchPathIsRead(t *testing.T) {
	home := write(t, map[string]string{"postferry/postferry.yaml": whole})
	t.Chdir(t.TempDir())
	if got := mustLoad(t, environ("XDG_CONFIG_HOME="+home)).Files; !slices.Equal(got, []string{home + "/postferry/postferry.yaml"}) {
		t.Errorf("read %q, want the one in XDG_CONFIG_HOME", got)
	}
	if err := os.WriteFile("postferry.yaml", []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, environ("XDG_CONFIG_HOME="+home)).Files; !slices.Equal(got, []string{"postferry.yaml"}) {
		t.Errorf("read %q, want the one of this folder", got)
	}
}

func TestNoFileAtAllSaysWhereItWasLookedFor(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := os.Stat("/etc/postferry/postferry.yaml"); err == nil {
		t.Fatal("this machine has a configuration in /etc")
	}
	_, err := load(nil, environ("HOME=/nowhere"))
	const want = "no configuration: there is none of postferry.yaml, /nowhere/.config/postferry/postferry.yaml, /etc/postferry/postferry.yaml; `postferry init` writes one to start from, -c names another"
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	cfg, err := config.Load([]string{"nowhere.yaml"}, environ())
	if cfg != nil || !errors.Is(err, fs.ErrNotExist) || err.Error() != "nowhere.yaml: no such file or directory" {
		t.Errorf("%v, %v", cfg, err)
	}
}

func TestFolderStandsForItsFilesInOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"20-b.yaml":    "retain: 2d\ndefaults: {schedule: \"@every 2m\"}\nmailboxes:\n  b:" + mailbox,
		"10-a.yaml":    "version: 1\nretain: 1d\ndefaults: {schedule: \"@every 1m\", settle: taken}\nmailboxes:\n  a:" + mailbox + app,
		".hidden.yaml": "nonsense",
		"notes.yml":    "nonsense",
		"old.yaml~":    "nonsense",
		"sub/c.yaml":   "nonsense",
	})
	r := mustLoad(t, environ(), dir)
	if want := []string{dir + "/10-a.yaml", dir + "/20-b.yaml"}; !slices.Equal(r.Files, want) {
		t.Errorf("read %q, want %q", r.Files, want)
	}
	if len(r.Mailboxes) != 2 || r.Mailboxes[0].Name != "a" || r.Mailboxes[1].Name != "b" {
		t.Fatalf("mailboxes are not a and b: %v", r.Mailboxes)
	}
	if r.Retain != 48*time.Hour || r.Mailbox("a").Schedule != "@every 2m" || r.Mailbox("a").Settle != "taken" {
		t.Errorf("retain %v, schedule %s, settle %s; the later file holds, key by key in defaults", r.Retain, r.Mailbox("a").Schedule, r.Mailbox("a").Settle)
	}
	if r.Dir != dir {
		t.Errorf("folder %s, want %s", r.Dir, dir)
	}
}

func TestFolderWithoutFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := load([]string{dir}, environ())
	if err == nil || err.Error() != dir+": the folder holds no *.yaml file" {
		t.Errorf("%v", err)
	}
}

// Of peers neither is meant to change the other: one mailbox would go unread.
func TestSameNameTwiceInAFolderIsAnError(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": whole,
		"b.yaml": "mailboxes:\n  m:" + mailbox + app,
	})
	t.Chdir(dir)
	_, err := load([]string{"."}, environ())
	const want = `b.yaml:2: mailboxes.m: the name is taken: a.yaml:3 has one of the same name; rename one of them
b.yaml:9: sinks.app: the name is taken: a.yaml:10 has one of the same name; rename one of them`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
}

func TestLaterFilesOverrideByKey(t *testing.T) {
	dir := write(t, map[string]string{
		"base.yaml": `version: 1
retain: 1d
listen: 127.0.0.1:1
defaults: {schedule: "@every 1m", settle: taken}
mailboxes:
  m:
    server: imaps://imap.example.com
    username: u
    password: p
    tls: {ca_file: ca.pem, min_version: "1.3"}
    folders: [A, B]
    deliver: [app]
sinks:
  app: {type: webhook, url: https://app.example.com/, headers: {X-Old: o}}
`,
		"here/over.yaml": `retain: 2d
defaults: {schedule: "@every 2m"}
mailboxes:
  m:
    username: other
    password_file: pw
    tls: {ca_file: other.pem}
    folders: [C]
sinks:
  app: {headers: {X-New: n}}
  more: {type: file, path: out}
`,
		"here/pw": "from the file\n",
	})
	r := mustLoad(t, environ(), dir+"/base.yaml", dir+"/here")
	m := r.Mailbox("m")
	if r.Retain != 48*time.Hour || r.Listen != "127.0.0.1:1" {
		t.Errorf("retain %v, listen %s", r.Retain, r.Listen)
	}
	if m.Server != "imaps://imap.example.com" || m.Username != "other" || m.Schedule != "@every 2m" || m.Settle != "taken" {
		t.Errorf("%+v", m)
	}
	if m.Password.Reveal() != "from the file" {
		t.Errorf("the later password does not hold: %q", m.Password.Reveal())
	}
	if m.TLS.CAFile != dir+"/here/other.pem" || m.TLS.MinVersion != "1.3" {
		t.Errorf("tls %+v", m.TLS)
	}
	if !slices.Equal(r.imap["m"].Folders, []string{"C"}) {
		t.Errorf("lists are replaced, not joined: %q", r.imap["m"].Folders)
	}
	if h := r.webhook["app"].Headers; len(h) != 2 || h["X-Old"].Reveal() != "o" || h["X-New"].Reveal() != "n" {
		t.Errorf("headers %d", len(h))
	}
	if r.file["more"].Path != dir+"/here/out" {
		t.Errorf("path %s, want it beside its file", r.file["more"].Path)
	}
}

func TestSameFileTwiceIsReadOnce(t *testing.T) {
	dir := write(t, map[string]string{"a.yaml": whole})
	r := mustLoad(t, environ(), dir+"/a.yaml", dir+"/./a.yaml", dir)
	if !slices.Equal(r.Files, []string{dir + "/a.yaml"}) {
		t.Errorf("read %q", r.Files)
	}
}

// What cannot be read in one file does not hide what cannot be read in another.
func TestErrorsOfAllFilesAreReported(t *testing.T) {
	t.Chdir(write(t, map[string]string{"a.yaml": "a: [", "b.yaml": "", "c.yaml": "- x\n"}))
	_, err := load([]string{"c.yaml", "b.yaml", "a.yaml"}, environ())
	var all config.Errors
	if !errors.As(err, &all) || len(all) != 3 || all[0].File != "c.yaml" || all[1].File != "b.yaml" || all[2].File != "a.yaml" {
		t.Errorf("%v", err)
	}
}

func TestStoreStandsBesideItsFileOrInTheStateDirectory(t *testing.T) {
	dir := write(t, map[string]string{
		"none.yaml": whole, "relative.yaml": "store: sqlite:data/mail.db\n" + whole, "absolute.yaml": "store: sqlite:/srv/mail.db\n" + whole,
	})
	for _, c := range []struct{ file, state, want string }{
		{"none.yaml", "", dir + "/postferry.db"},
		{"none.yaml", "/var/lib/postferry", "/var/lib/postferry/postferry.db"},
		{"none.yaml", "/var/lib/a:/var/lib/b", "/var/lib/a/postferry.db"},
		{"relative.yaml", "", dir + "/data/mail.db"},
		{"relative.yaml", "/var/lib/postferry", "/var/lib/postferry/data/mail.db"},
		{"absolute.yaml", "/var/lib/postferry", "/srv/mail.db"},
	} {
		got := mustLoad(t, environ("STATE_DIRECTORY="+c.state), filepath.Join(dir, c.file)).Store
		if got != (config.Store{Driver: "sqlite", Path: c.want}) {
			t.Errorf("%s with STATE_DIRECTORY=%s: %v, want %s", c.file, c.state, got, c.want)
		}
	}
}

func TestRelativeStoreIsMadeAbsolute(t *testing.T) {
	dir := write(t, map[string]string{"postferry.yaml": whole})
	t.Chdir(dir)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, environ()).Store.Path; got != filepath.Join(wd, "postferry.db") {
		t.Errorf("store %s", got)
	}
}

func TestFileAboveTheLimitIsNotRead(t *testing.T) {
	_, err := one(t, environ(), whole+strings.Repeat("# comment\n", 500_000))
	if err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("5 MB: %v", err)
	}
}
