package config_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/postferry/postferry/config"
)

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema(kinds)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7) // so that $schema has to say it
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	if schema.DraftVersion != 2020 {
		t.Fatalf("the schema is of draft %d", schema.DraftVersion)
	}
	return schema
}

// asJSON reads YAML as an editor does before it looks at the schema. The error
// is that of what is not YAML.
func asJSON(data []byte) (any, error) {
	var v any
	err := yaml.Unmarshal(data, &v)
	return v, err
}

// notOfSchema are the broken files that a schema cannot know to be broken: they
// are wrong by what several keys say together, by names elsewhere, by what is
// outside the file, or by how YAML is written.
var notOfSchema = []string{
	"backfill-required-with-delete", "client-cert-without-key", "failed-delete", "password-and-oauth2", "password-missing", "username-missing", "route-after-stop",
	"sink-name-misspelt",
	"password-command-fails", "password-file-missing", "variable-unset", "variable-with-a-message",
	"variable-unclosed", "variable-with-a-dash", // any ${ may be a reference
	"custom-tag", "custom-tag-on-a-list", "octal-number", "second-document",
	// What the text or the number itself says.
	"attachments-base-url", "flag-with-space", "listen-without-port", "number-zero", "password-empty", "password-of-two-lines", "pin-of-wrong-length", "quota-without-unit", "retry-without-a-wait",
	"schedule-february-30", "schedule-fraction-of-a-second", "schedule-six-fields", "schedule-zone-only", "server-port-too-large", "settle-wait-too-long",
	"store-of-another-kind", "store-without-file",
}

func TestSchemaRefusesBrokenFiles(t *testing.T) {
	schema := compile(t)
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	refused := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		v, err := asJSON(data)
		if err == nil {
			err = schema.Validate(v)
		}
		if allowed := slices.Contains(notOfSchema, name); allowed != (err == nil) {
			t.Errorf("%s: validates with %v; a matter of the schema: %v", name, err, !allowed)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 40 {
		t.Errorf("only %d files refused", refused)
	}
}

// Schema and loader agree on what is right: each of these loads, and validates.
func TestSchemaTakesWhatLoads(t *testing.T) {
	schema := compile(t)
	o := environ("P=p", "S=s", "N=3", "T=5s", "B=true", "TEAM_PASSWORD=p", "FOLDER=f", "HOOK_PASSWORD=p", "HOOK_SECRET=s", "SUPPORT_PASSWORD=p", "TYPE=file", "SERVER=imaps://a.example.com", "V=1.3")
	for _, c := range []struct{ name, text string }{
		{"nothing but a version", "version: 1\n"},
		{"the smallest", whole},
		{"everything", rich},
		{"the example of the documentation", example},
		{"references for all", `version: 1
retain: ${T}
quota: ${N}GB
mailboxes:
  m: {server: "${SERVER}", username: "${S}", password: "${P}", insecure: "${B}", folders: ["${S}"], idle: "${B}", schedule: "@every ${T}", settle: "${X:-taken}", settle_wait: "${T}", after: "${X:-seen}", backfill: "${X:-all}", tls: {min_version: "${V}"}, deliver: [{to: "${S}", stop: "${B}"}]}
sinks:
  s: {type: webhook, url: "${S}", concurrency: "${N}", rate: "${N}/s", retry: {every: "${T}", for: "${T}", delays: ["${T}"], jitter: "${B}"}, port: "${N}", factor: "${N}", strict: "${B}", timeout: "${T}", attachments: "${X:-none}", format: "${X:-raw}"}
`},
		{"keys left empty", "version: 1\nretain:\nlisten:\nquota:\ndefaults:\nmailboxes:\nsinks:\n  a: {type: file, path: x, rate: , retry: , concurrency: , dir: , format: , attachments: }\n"},
		{"required keys in the defaults", "version: 1\ndefaults: {server: imaps://a.example.com, username: u, password: p, deliver: [app]}\nmailboxes:\n  m: {settle: taken}\n" + app},
		{"keys of one protocol in the defaults", "version: 1\ndefaults: {folders: [A], idle: false}\nmailboxes:\n  p: {server: pop3://a.example.com, username: u, password: p, deliver: [app]}\n  i: {server: IMAP://a.example.com, username: u, password: p, deliver: [app]}\n" + app},
		{"numbers for texts", "version: 1\nsinks:\n  a: {type: file, path: 123, dir: true}\n  b: {type: webhook, url: 1, secret: 2, secrets: [3], headers: {A: 4, B: }, template: 5, extra: {a: [~, {b: 1}]}}\n"},
		{"numbers for words", "version: 1\nmailboxes:\n  m: {server: pop3s://a.example.com, username: 1, password: 2, tls: {min_version: 1.3}, deliver: [5]}\nsinks:\n  \"5\": {type: file, path: x}\n"},
		{"times, sizes and rates", "version: 1\nretain: 0\nquota: 2 gib\nsinks:\n  a: {type: file, path: x, rate: 1 / 1m30s, retry: none}\n  b: {type: webhook, url: x, timeout: 1d2h3.5s}\n"},
		{"a size in octets", "version: 1\nquota: 5000000\n"},
		{"an empty password beside another", "version: 1\nmailboxes:\n  m: {server: pop3s://a.example.com, username: u, password: , password_command: [echo, 1], deliver: [app]}\n" + app},
		{"keys of formats", "version: 1\nsinks:\n  a: {type: file, path: x, format: cloudevents, mode: binary}\n  b: {type: webhook, url: x, format: template, body: t, key: k}\n  c: {type: file, path: x, format: cloudevents, mode: }\n"},
		{"x-keys", "version: 1\nx-a: [1, {b: 2}]\nx-: 1\n"},
	} {
		if _, err := load([]string{filepath.Join(write(t, map[string]string{"a.yaml": c.text, "pw": "p"}), "a.yaml")}, o); err != nil {
			t.Errorf("%s does not load: %v", c.name, err)
		}
		v, err := asJSON([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The example of the documentation, with the kinds there are here.
const example = `version: 1
store: sqlite:postferry.db
retain: 7d
listen: 127.0.0.1:8425
x-team: &team {password: "${TEAM_PASSWORD}"}
defaults: {schedule: "@every 1m"}
mailboxes:
  support:
    server: imaps://imap.example.com
    username: support@example.com
    password: ${SUPPORT_PASSWORD}
    tls: {ca_file: ca.pem}
    insecure: false
    folders: [INBOX]
    search: {since: 7d, unseen: true}
    schedule: "@every 1m"
    idle: true
    backfill: none
    after: keep
    settle: delivered
    failed: keep
    deliver:
      - {to: pager, when: 'has(message.subject, "down")', stop: true}
      - app
  team:
    <<: *team
    server: pop3s://pop.example.com
    username: team@example.com
    after: delete:30d
    backfill: 7d
    deliver: [lines]
sinks:
  app:
    type: webhook
    url: https://app.example.com/hooks/mail
    secret: ${HOOK_SECRET}
    format: native
    attachments: auto
  pager: {type: webhook, url: "https://pager.example.com/", concurrency: 1, rate: 10/s, retry: none}
  lines: {type: file, path: mails.jsonl}
`

func TestSchemaHasDefaultsAndMeanings(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema(kinds)))
	if err != nil {
		t.Fatal(err)
	}
	defs := doc.(map[string]any)["$defs"].(map[string]any)
	port := defs["sink.webhook"].(map[string]any)["properties"].(map[string]any)["port"].(map[string]any)
	settle := defs["mailbox.pop3"].(map[string]any)["properties"].(map[string]any)["settle"].(map[string]any)
	if text := fmt.Sprint(port["default"]); text != "443" {
		t.Errorf("default of port is %s", text)
	}
	if settle["default"] != "delivered" || !strings.HasPrefix(settle["description"].(string), "delivered: a mail is settled once") {
		t.Errorf("settle is %v", settle)
	}
}
