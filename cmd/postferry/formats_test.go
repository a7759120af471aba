package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
)

const attachedMail = "Delivered-To: support+vip@example.com\r\nFrom: Ada <a@example.com>\r\nSubject: caf\u00e9\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"

// settings are what the sinks of the tests below set for a format, beside nothing.
var settings = map[string][]string{
	"cloudevents": {"mode: binary"}, "postmark": {"raw_email: true"}, "mailgun": {"signing_key: k", "mime: true"}, "sendgrid": {"raw: true"}, "cloudmailin": {"multipart: true"},
}

func TestEveryFormatIsParsedAndExplained(t *testing.T) {
	dir, schema := t.TempDir(), schemaOfTheProgram(t)
	must(t, os.WriteFile(filepath.Join(dir, "a.eml"), []byte(attachedMail), 0o600))
	for _, name := range payload.Formats() {
		if name == "template" {
			continue // has a body of the operator's
		}
		code, out, stderr := program(t, dir, "", nil, "parse", "--format", name, "a.eml")
		if code != 0 || !strings.Contains(out, "hello") {
			t.Errorf("parse --format %s exits with %d: %s%.300s", name, code, stderr, out)
		}
		if out, isJSON := strings.CutPrefix(out, "{"); isJSON && (strings.Count(out, "\n") != 1 || !json.Valid([]byte("{"+out))) {
			t.Errorf("parse --format %s is no JSON in one line: %.300s", name, out)
		}
		for _, set := range append(settings[name], "attachments: inline") {
			config := "version: 1\nmailboxes:\n  m: {server: imaps://imap.example.com, username: u, password: p, deliver: [app, dir]}\nsinks:\n" +
				"  app: {type: webhook, url: https://app.example.com/, format: " + name + ", " + set + "}\n"
			if set != "mode: binary" {
				config += "  dir: {type: file, dir: out, format: " + name + ", " + set + "}\n"
			} else {
				config = strings.Replace(config, ", dir]", "]", 1)
			}
			must(t, os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte(config), 0o600))
			code, out, stderr := program(t, dir, "", nil, "explain", "a.eml", "--mailbox", "m")
			if code != 0 || !strings.Contains(out, "POST https://app.example.com/") || !strings.Contains(out, "hello") {
				t.Errorf("explain with %s, %s exits with %d: %s%.1000s", name, set, code, stderr, out)
			}
			if err := schema.Validate(readYAML(t, filepath.Join(dir, "postferry.yaml"))); err != nil {
				t.Errorf("the schema refuses %s, %s: %v", name, set, err)
			}
		}
	}
}

func TestASettingOfAnotherFormatIsAnError(t *testing.T) {
	dir, schema := t.TempDir(), schemaOfTheProgram(t)
	for format, settings := range settings {
		for _, set := range settings {
			key, _, _ := strings.Cut(set, ":")
			must(t, os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte("version: 1\nsinks:\n  app: {type: webhook, url: https://app.example.com/, format: raw, "+set+"}\n"), 0o600))
			code, _, stderr := program(t, dir, "", nil, "config", "show")
			if code != 78 || !strings.Contains(stderr, "sinks.app."+key+": unknown key") {
				t.Errorf("%s of %s: exit code %d: %s", key, format, code, stderr)
			}
			if schema.Validate(readYAML(t, filepath.Join(dir, "postferry.yaml"))) == nil {
				t.Errorf("the schema takes %s of %s with raw", key, format)
			}
		}
	}
}

// A setting of a format that was called like one of a kind of sink would be both.
func TestNoSettingOfAFormatIsOneOfASink(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(mailtest.ModuleRoot(t), "docs", "configuration.md"))
	must(t, err)
	_, sinks, found := strings.Cut(string(page), "\n## Sinks\n")
	if !found {
		t.Fatal("no part about sinks")
	}
	of := map[string]string{}
	for _, part := range strings.Split(sinks, "\n### ") {
		heading, _, _ := strings.Cut(part, "\n")
		for _, line := range strings.Split(part, "\n") {
			if key, ok := strings.CutPrefix(line, "| `"); ok {
				key, _, _ = strings.Cut(key, "`")
				if other, twice := of[key]; twice && (strings.Contains(heading, "format:") != strings.Contains(other, "format:")) {
					t.Errorf("%s is a key of %q and of %q", key, other, heading)
				}
				of[key] = heading
			}
		}
	}
	if len(of) < 20 {
		t.Errorf("only %d keys are seen", len(of))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
