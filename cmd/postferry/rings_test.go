package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigurationThatFeedsAMailboxIntoItselfIsRefused(t *testing.T) {
	box := func(name, user, sink string) string {
		return "  " + name + ": {server: imaps://imap.example.com, username: " + user + ", password: p, backfill: all, deliver: [" + sink + "]}\n"
	}
	desk := func(name, action, to string) string {
		return "  " + name + ": {type: smtp, server: smtp://smtp.example.com, username: u, password: p, from: desk@example.com, text: Thanks, action: " + action + ", to: [" + to + "]}\n"
	}
	for _, c := range []struct {
		fact, mailboxes, sinks, says string
	}{
		{"to itself", box("in", "ada@example.com", "desk"), desk("desk", "notify", "Ada@Example.com"), "from in to in, by sink desk"},
		{"by way of another", box("a", "a@example.com", "x") + box("b", "b@example.com", "y"), desk("x", "notify", "b@example.com") + desk("y", "forward", "b2@example.com, a@example.com"),
			"from a to b to a, by sink x"},
		{"to itself with a tag", box("in", "ada@example.com", "desk"), desk("desk", "notify", "ada+new@example.com"), "from in to in, by sink desk"},
		{"by what answers may ask for", box("in", "ada@example.com", "app"), "  app: {type: webhook, url: \"https://app.example.com/\", directives: {reply: desk}}\n" + desk("desk", "reply", "ada@example.com"), "from in to in, by sink desk"},
		{"to another that sends it elsewhere", box("a", "a@example.com", "x") + box("b", "b@example.com", "y"), desk("x", "notify", "b@example.com") + desk("y", "notify", "c@example.com"), ""},
		{"by a sink nothing is delivered to", box("a", "a@example.com", "y"), desk("x", "notify", "a@example.com") + desk("y", "notify", "c@example.com"), ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte("version: 1\nmailboxes:\n"+c.mailboxes+"sinks:\n"+strings.ReplaceAll(c.sinks, "text: Thanks, action: forward", "action: forward")), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := program(t, dir, "", nil, "config", "show")
		switch {
		case c.says == "" && code != 0:
			t.Errorf("%s: exit %d, %s", c.fact, code, stderr)
		case c.says != "" && (code != 78 || !strings.Contains(stderr, c.says) || !strings.Contains(stderr, "postferry.yaml:3:")):
			t.Errorf("%s: exit %d, %s", c.fact, code, stderr)
		}
	}
}

func TestRouteFromAMailboxWithoutAnAddressNeedsFrom(t *testing.T) {
	for from, want := range map[string]int{"": 78, ", from: desk@example.com": 0} {
		dir := t.TempDir()
		text := "version: 1\nmailboxes:\n  in: {server: imaps://imap.example.com, username: ada, password: p, backfill: all, deliver: [desk]}\n" +
			"sinks:\n  desk: {type: smtp, server: smtp://smtp.example.com, username: u, password: p, action: acknowledge" + from + "}\n"
		if err := os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := program(t, dir, "", nil, "config", "show")
		if code != want || code != 0 && (!strings.Contains(stderr, "sinks.desk.from") || !strings.Contains(stderr, "is no address") || !strings.Contains(stderr, "postferry.yaml:5:")) {
			t.Errorf("%q: exit %d, %s", from, code, stderr)
		}
	}
}

func TestRouteToAReplyThatSaysNothingIsRefused(t *testing.T) {
	for _, c := range []struct {
		fact, deliver string
		want          int
	}{{"routed", "desk", 78}, {"asked for by answers alone", "app", 0}} {
		dir := t.TempDir()
		text := "version: 1\nmailboxes:\n  in: {server: imaps://imap.example.com, username: ada@example.com, password: p, backfill: all, deliver: [" + c.deliver + "]}\n" +
			"sinks:\n  app: {type: webhook, url: \"https://app.example.com/\", directives: {reply: desk}}\n  desk: {type: smtp, server: smtp://smtp.example.com, username: u, password: p, action: reply}\n"
		if err := os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := program(t, dir, "", nil, "config", "show")
		if code != c.want || code != 0 && (!strings.Contains(stderr, "a reply says nothing: set text or html") || !strings.Contains(stderr, "postferry.yaml:6:")) {
			t.Errorf("%s: exit %d, %s", c.fact, code, stderr)
		}
	}
}
