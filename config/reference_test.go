package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postferry/postferry/config"
)

func TestReferenceHasEveryKeyWithTypeDefaultAndMeaning(t *testing.T) {
	page := string(config.Reference(kinds))
	for _, row := range []string{
		"| `version` | `1`, required |  | 1, the version of this format |",
		"| `listen` | text | `127.0.0.1:8425` | address of health checks, metrics and the API; empty: off |",
		"| `server` | text, required |  | imaps:// or pop3s:// and a host; imap:// or pop3:// means STARTTLS, required; a port is optional |",
		"| `tls.ca_file` | file name |  | certificates (PEM) to trust instead of the system's; relative to this file |",
		"| `settle` | `delivered`, `taken` | `delivered` | delivered: a mail is settled once every sink has accepted it; taken: once it is safe in the store |",
		"| `deliver` | list of: name of a sink, or a block, required |  | the sinks its mail goes to: every entry whose condition holds |",
		"| `deliver[].when` | text, taken as it is |  | an expression over message and mailbox; without one, every mail |",
		"| `folders` | list of: text | `[INBOX]` | the folders mail is taken from |",
		"| `idle` | true or false | `true` | also the moment mail arrives |",
		"| `search.since` | length of time |  |  |",
		"| `oauth2.client_secret_file` | file name |  | a file that holds `oauth2.client_secret`; one line end after it does not count |",
		"| `retry` | none, or a block |  | when a failed delivery is tried again |",
		"| `retry.delays` | list of: length of time | `[5s, 30s, 5m, 30m, 2h, 5h, 10h]` | the waits between the first tries |",
		"| `url` | text, required |  | where to post |",
		"| `secrets` | list of: secret |  |  |",
		"| `headers` | names, each with: secret |  |  |",
		"| `timeout` | length of time | `15s` |  |",
		"| `extra` | names, each with: any |  |  |",
		"| `port` | whole number | `443` |  |",
		"| `factor` | number |  |  |",
		"| `strict` | true or false |  |  |",
		"### Only with `server: pop3s://…` or `pop3://…`\n\nNo keys of its own.\n",
		"### Only with `format: cloudevents`\n\n| key | type | default | meaning |\n|---|---|---|---|\n| `mode` | `structured`, `binary` |  | where the attributes are |\n",
		"### Only with `format: template`\n",
	} {
		if !strings.Contains(page, row) {
			t.Errorf("no row %s", row)
		}
	}
	if imap, hook := strings.Index(page, "`server: imaps://…`"), strings.Index(page, "`type: webhook`"); imap < 0 || hook < imap || strings.Index(page, "`folders`") < imap || strings.Index(page, "| `url` |") < hook {
		t.Error("the keys of a kind are not under its heading")
	}
}

func TestConfigurationsOfTheReferenceLoad(t *testing.T) {
	page := string(config.Reference(kinds))
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of YAML", len(blocks))
	}
	o := environ("SUPPORT_PASSWORD=p", "HOOK_SECRET=s", "TEAM_PASSWORD=p")
	o.SkipSecrets = true
	dir := t.TempDir()
	for i, block := range blocks {
		files := []string{filepath.Join(dir, "base.yaml"), filepath.Join(dir, "here.yaml")}
		file := files[0]
		if i == 1 { // the one that is laid over the first
			file = files[1]
		} else {
			files = files[:1]
		}
		if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := load(files, o)
		if err != nil {
			t.Errorf("block %d: %v", i+1, err)
		} else if i == 1 && r.Mailbox("support").Schedule != "@every 5m" {
			t.Errorf("the file laid over changed nothing: %s", r.Mailbox("support").Schedule)
		}
	}
}
