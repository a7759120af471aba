package config_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/postferry/postferry/config"
)

func TestErrorsOfASectionStandAtItsKeys(t *testing.T) {
	t.Chdir(write(t, map[string]string{"a.yaml": `version: 1
defaults: {schedule: "@every 1m"}
mailboxes:
  m:
    server: imaps://imap.example.com
    username: u
    password: p
    search: {unseen: true}
    folders:
      - A
      - B
    deliver: [app]
` + app}))
	r := mustLoad(t, environ("POSTFERRY_MAILBOXES__M__USERNAME=c4n4ry"), "a.yaml")
	s := r.Mailbox("m").Section
	if file, line := s.Position(); s.Path() != "mailboxes.m" || file != "a.yaml" || line != 4 {
		t.Errorf("%s at %s:%d", s.Path(), file, line)
	}
	for _, c := range []struct{ key, want string }{
		{"", "a.yaml:4: mailboxes.m: no"},
		{"server", "a.yaml:5: mailboxes.m.server: no"},
		{"folders", "a.yaml:9: mailboxes.m.folders: no"},
		{"folders[1]", "a.yaml:11: mailboxes.m.folders[1]: no"},
		{"folders[7]", "a.yaml:9: mailboxes.m.folders[7]: no"},
		{"search.unseen", "a.yaml:8: mailboxes.m.search.unseen: no"},
		{"search.since", "a.yaml:8: mailboxes.m.search.since: no"},
		{"absent", "a.yaml:4: mailboxes.m.absent: no"},
		{"absent.within", "a.yaml:4: mailboxes.m.absent.within: no"},
		{"schedule", "a.yaml:2: defaults.schedule: no"},
		{"username", "$POSTFERRY_MAILBOXES__M__USERNAME: mailboxes.m.username: no"},
	} {
		if got := s.Errorf(c.key, "no").Error(); got != c.want {
			t.Errorf("Errorf(%q) is %q, want %q", c.key, got, c.want)
		}
	}
	if got, want := s.Error("", config.At("search.unseen", errors.New("no"))).Error(), "a.yaml:8: mailboxes.m.search.unseen: no"; got != want {
		t.Errorf("an error about a key is %q, want %q", got, want)
	}
	if err := s.Error("server", nil); err != nil {
		t.Errorf("nothing wrong is %v", err)
	}
	if err := s.Errorf("server", "read: %w", io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("%v hides its cause", err)
	}
	if s.Has("server") != true || s.Has("idle") || s.Has("absent") {
		t.Error("Has is wrong")
	}
}

type unsure struct {
	A     string `config:"a"`
	Inner struct {
		B int `config:"b"`
	} `config:"inner"`
}

func (u *unsure) Validate() error {
	return errors.Join(config.At("a", errors.New("wrong a")), nil, config.At("inner.b", errors.New("wrong b")), errors.New("wrong together"), config.At("a", nil))
}

func TestErrorsOfValidateStandAtTheKeysTheyName(t *testing.T) {
	t.Chdir(write(t, map[string]string{"a.yaml": "version: 1\nsinks:\n  s:\n    type: x\n    a: y\n    inner:\n      b: 1\n"}))
	cfg, err := config.Load([]string{"a.yaml"}, environ())
	if err != nil {
		t.Fatal(err)
	}
	err = config.Join(cfg.Sink("s").Section.Decode(&unsure{}), nil, cfg.Finish())
	const want = `a.yaml:3: sinks.s: wrong together
a.yaml:5: sinks.s.a: wrong a
a.yaml:7: sinks.s.inner.b: wrong b`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
}

func TestJoinedErrorsAreSortedAndSaidOnce(t *testing.T) {
	a := &config.Error{File: "a.yaml", Line: 9, Path: "k", Err: io.EOF}
	b := &config.Error{File: "a.yaml", Line: 2, Path: "k", Err: io.EOF}
	c := &config.Error{File: "b.yaml", Line: 1, Err: io.EOF}
	err := config.Join(a, nil, errors.Join(c, fmt.Errorf("wrapped: %w", b)), config.Errors{b, a}, errors.New("without a place"))
	const want = "a.yaml:2: k: EOF\na.yaml:9: k: EOF\nb.yaml:1: EOF\nwithout a place"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the causes are hidden")
	}
	if err := config.Join(nil, errors.Join(), nil); err != nil {
		t.Errorf("nothing wrong is %v", err)
	}
}

func TestEmbeddedStructsCountAsTheirFields(t *testing.T) {
	type Inner struct {
		A string `config:"a,required"`
	}
	type outer struct {
		Inner
		B    string `config:"b"`
		Free string // not configuration
	}
	t.Chdir(write(t, map[string]string{"a.yaml": "version: 1\nsinks:\n  s: {type: x, a: one, b: two}\n"}))
	cfg, err := config.Load([]string{"a.yaml"}, environ())
	if err != nil {
		t.Fatal(err)
	}
	var o outer
	if err := config.Join(cfg.Sink("s").Section.Decode(&o), cfg.Finish()); err != nil || o.A != "one" || o.B != "two" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestOneAccountTwiceIsWarnedOf(t *testing.T) {
	r, err := one(t, environ(), `version: 1
defaults: {username: u, password: p, deliver: [app]}
mailboxes:
  a: {server: imaps://mail.example.com}
  b: {server: pop3s://MAIL.example.com:995}
  c: {server: imaps://mail.example.com, username: other}
`+app)
	if err != nil {
		t.Fatal(err)
	}
	if w := r.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], "mailboxes.a and mailboxes.b are the same account (") {
		t.Errorf("%q", w)
	}
}
