package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What only a kind knows to be wrong is told with its line by every command that
// reads the configuration.
func TestWhatAKindRefusesIsToldWithItsLine(t *testing.T) {
	const head = "version: 1\nmailboxes:\n  inbox: {server: 'imaps://imap.example.com', username: ada, password: p, deliver: [app]}\nsinks:\n  app:\n"
	for _, c := range []struct {
		name, sink string
		line, says string
	}{
		{"a url without a host", "type: webhook\n    url: 'https:///hook'", "7: sinks.app.url", "https://host/path"},
		{"clear text to another machine", "type: webhook\n    url: http://app.example.com/", "7: sinks.app.url", "insecure: true"},
		{"a secret that is none", "type: webhook\n    url: https://app.example.com/\n    secret: hello", "8: sinks.app.secret", "openssl rand"},
		{"a second secret that is none", "type: webhook\n    url: https://app.example.com/\n    secrets: [whsec_c2hvcnQ=]", "8: sinks.app.secrets", "5 octets"},
		{"a header field of postferry's", "type: webhook\n    url: https://app.example.com/\n    headers: {Webhook-Id: x}", "8: sinks.app.headers", "Webhook-Id"},
		{"a proxy that is none", "type: webhook\n    url: https://app.example.com/\n    proxy: nowhere", "8: sinks.app.proxy", "http://proxy.example.com:3128"},
		{"a version of TLS that is none", "type: webhook\n    url: https://app.example.com/\n    tls: {min_version: '1.1'}", "8: sinks.app.tls", "1.2"},
		{"a format that is no line", "type: file\n    path: a.jsonl\n    format: raw", "8: sinks.app.format", "use dir"},
		{"a format of attachments by themselves", "type: file\n    dir: out\n    each: attachment\n    format: raw", "9: sinks.app.format", "take format out"},
		{"attachments of a whole mail", "type: webhook\n    url: https://app.example.com/\n    format: raw\n    attachments: none", "9: sinks.app.attachments", "the whole mail"},
		{"a filter of a whole mail", "type: webhook\n    url: https://app.example.com/\n    format: rails\n    attachments_only: {names: ['*.pdf']}", "9: sinks.app.attachments_only", "take attachments and attachments_only out"},
		{"a filter of no attachments", "type: webhook\n    url: https://app.example.com/\n    attachments: none\n    attachments_only: {names: ['*.pdf']}", "9: sinks.app.attachments_only", "no effect"},
		{"a filter that nothing passes", "type: webhook\n    url: https://app.example.com/\n    attachments_only: {min_size: 2MB, max_size: 1MB}", "8: sinks.app.attachments_only", "more than max_size"},
		{"an endpoint in clear text", "type: s3\n    bucket: b\n    endpoint: http://s3.example.com", "8: sinks.app.endpoint", "insecure: true"},
		{"a wait that is too long", "type: webhook\n    url: https://app.example.com/\n    retry: {delays: [5s], every: 1s, for: 91d}", "8: sinks.app.retry", "90d"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte(head+"    "+c.sink+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"config", "show"}, {"run", "--once"}, {"check"}} {
			code, out, stderr := program(t, dir, "", nil, command...)
			if code != 78 || !strings.Contains(out+stderr, "postferry.yaml:"+c.line) || !strings.Contains(out+stderr, c.says) {
				t.Errorf("%s: %s: exit code %d: %s%s", c.name, command[0], code, out, stderr)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
			t.Errorf("%s: there are %q", c.name, left)
		}
	}
}

// A configuration can be looked at where the files it names are not.
func TestAConfigurationIsShownWithoutTheCertificatesItNames(t *testing.T) {
	dir := t.TempDir()
	const text = "version: 1\nmailboxes:\n  inbox: {server: 'imaps://imap.example.com', username: ada, password_file: secret, tls: {ca_file: ca.pem}, deliver: [app]}\n" +
		"sinks:\n  app: {type: webhook, url: 'https://app.example.com/', tls: {ca_file: ca.pem, client_cert: c.pem, client_key: k.pem}}\n"
	if err := os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := program(t, dir, "", nil, "config", "show"); code != 0 || !strings.Contains(out, "ca.pem") {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := program(t, dir, "", nil, "run", "--once")
	if code != 78 || !strings.Contains(stderr, "mailboxes.inbox.tls") || !strings.Contains(stderr, "sinks.app.tls") || !strings.Contains(stderr, "no such file") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
