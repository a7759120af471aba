package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestATemplateIsShownByParseAndExplain(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"mail.eml":    "From: Ada <ada@customer.example>\r\nSubject: \"quoted\" and late\r\n\r\nStill nothing.\r\n",
		"body.yaml":   "channel: support\ntext: \"New: {{ message.subject }}\"\n",
		"body.json":   `{"text": "{{ truncate(message.text, 6) }}"}`,
		"date.yaml":   "due: 2026-11-24\n",
		"broken.yaml": "text: \"{{ message.subjct }}\"\n",
		"postferry.yaml": "version: 1\nmailboxes:\n  support: {server: imaps://mail.example, username: a, password: p, deliver: [chat]}\n" +
			"sinks:\n  chat:\n    type: webhook\n    url: https://chat.example/hook\n    format: template\n    body: {text: \"{{ mrkdwn(message.html ?? message.text, 40) }} from {{ message.from[0].email }}\", n: \"{{ message.size }}\"}\n",
		"wrong.yaml": "version: 1\nmailboxes:\n  support: {server: imaps://mail.example, username: a, password: p, deliver: [chat]}\n" +
			"sinks:\n  chat:\n    type: webhook\n    url: https://chat.example/hook\n    format: template\n    body: {text: \"{{ mesage.subject }}\"}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a body in YAML", []string{"parse", "mail.eml", "--format", "template", "--body", "body.yaml"}, 0, `{"channel":"support","text":"New: \"quoted\" and late"}` + "\n"},
		{"a body in JSON", []string{"parse", "mail.eml", "--format", "template", "--body", "body.json"}, 0, `{"text":"Still…"}` + "\n"},
		{"a body that is wrong", []string{"parse", "mail.eml", "--format", "template", "--body", "broken.yaml"}, 64, `body.text: {{ message.subjct }}: "subjct" is not a field here; did you mean "subject"?`},
		{"no body", []string{"parse", "mail.eml", "--format", "template"}, 64, "--body FILE"},
		{"a body with a date", []string{"parse", "mail.eml", "--format", "template", "--body", "date.yaml"}, 64, "body.due: what stands here is no text, number"},
		{"a mode that is none", []string{"parse", "mail.eml", "--sink", "chat", "--attachments", "pigeon"}, 64, `attachments "pigeon" is not auto`},
		{"a mode that is none, of a body", []string{"parse", "mail.eml", "--format", "template", "--body", "body.yaml", "--attachments", "pigeon"}, 64, `attachments "pigeon" is not auto`},
		{"attachments of a whole mail", []string{"parse", "mail.eml", "--format", "raw", "--attachments", "none"}, 64, "the whole mail"},
		{"the event as a form", []string{"parse", "mail.eml", "--attachments", "multipart"}, 0, `form-data; name="event"`},
		{"a body with another format", []string{"parse", "mail.eml", "--body", "body.yaml"}, 64, "--format template"},
		{"a sink", []string{"parse", "mail.eml", "--sink", "chat"}, 0, `{"n":80,"text":"Still nothing. from ada@customer.example"}` + "\n"},
		{"a sink that is not there", []string{"parse", "mail.eml", "--sink", "chats"}, 64, "chat"},
		{"explain", []string{"explain", "mail.eml", "--mailbox", "support"}, 0, `{"n":80,"text":"Still nothing. from ada@customer.example"}`},
		{"a configuration that is wrong", []string{"config", "show", "-c", "wrong.yaml"}, 78, `wrong.yaml:5: sinks.chat: body.text: {{ mesage.subject }}: unknown name "mesage"`},
	} {
		code, out, stderr := program(t, dir, "", nil, c.args...)
		if code != c.code || !strings.Contains(out+stderr, c.says) {
			t.Errorf("%s: exit code %d: %s%s", c.name, code, out, stderr)
		}
	}
}
