package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
)

// documented are values for the variables that examples and documents name.
var documented = []string{
	"SUPPORT_PASSWORD=p", "INBOX_PASSWORD=p", "TEAM_PASSWORD=p", "PAGER_TOKEN=t", "P=p", "MAILGUN_SIGNING_KEY=k", "RAILS_INBOUND_EMAIL_PASSWORD=p",
	"HOOK_SECRET=" + hookSecret, "S3_SECRET=s", "LINK_SECRET=0123456789abcdef", "ZAMMAD_TOKEN=t", "GITHUB_TOKEN=t", "SLACK_WEBHOOK_URL=https://hooks.slack.com/services/T0/B0/x", "MATTERMOST_WEBHOOK_URL=https://chat.example.com/hooks/x", "S3_KEY=k", "MQTT_PASSWORD=p", "GOOGLE_SECRET=s", "GOOGLE_REFRESH_TOKEN=r", "AZURE_SECRET=s",
}

func TestExamplesLoadAndDoWhatTheySay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(mailtest.ModuleRoot(t), "examples", "*", "postferry.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples found, error %v", len(files), err)
	}
	schema := schemaOfTheProgram(t)
	if err := schema.Validate(map[string]any{"version": 1, "mailboxen": nil}); err == nil {
		t.Error("the JSON Schema takes an unknown key")
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			code, _, stderr := program(t, dir, "", documented, "config", "show")
			if code != 0 {
				t.Fatalf("config show exits with %d: %s", code, stderr)
			}
			if err := schema.Validate(readYAML(t, file)); err != nil {
				t.Errorf("the JSON Schema: %v", err)
			}
			commands, err := os.ReadFile(filepath.Join(dir, "commands"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(commands)) {
				if code, out, stderr := program(t, dir, "", documented, strings.Fields(line)...); code != 0 {
					t.Errorf("%s: exit code %d: %s%s", strings.TrimSpace(line), code, out, stderr)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
				t.Error(err)
			}
			left, err := filepath.Glob(filepath.Join(dir, "*.db*"))
			if err != nil || len(left) > 0 {
				t.Errorf("the commands left %v behind", left)
			}
		})
	}
}

// schemaOfTheProgram is what `config schema` prints.
func schemaOfTheProgram(t *testing.T) *jsonschema.Schema {
	t.Helper()
	code, out, stderr := program(t, t.TempDir(), "", nil, "config", "schema")
	if code != 0 {
		t.Fatalf("config schema exits with %d: %s", code, stderr)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func readYAML(t *testing.T, file string) (v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Every format that is not part of docs/payload.md has a page, which the index
// names.
func TestEveryFormatHasAPage(t *testing.T) {
	dir := filepath.Join(mailtest.ModuleRoot(t), "docs", "formats")
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range payload.Formats() {
		if !strings.Contains(string(index), "`"+name+"`") {
			t.Errorf("the index does not name %s", name)
		}
		if name == "native" || name == "raw" || name == "template" {
			continue // docs/payload.md and docs/templates.md
		}
		page, err := os.ReadFile(filepath.Join(dir, name+".md"))
		if err != nil {
			t.Error(err)
		}
		for _, part := range []string{"\nversion: 1\n", "format: " + name, "**Stop code", "**Deviations"} {
			if !strings.Contains(string(page), part) {
				t.Errorf("the page of %s has no %s", name, part)
			}
		}
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestConfigurationsInDocumentsLoad(t *testing.T) {
	root := mailtest.ModuleRoot(t)
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	formats, err := filepath.Glob(filepath.Join(root, "docs", "formats", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	docs = append(docs, formats...)
	loaded := 0
	for _, doc := range append(docs, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(block[1], "version: 1\n") {
				continue // a part of one
			}
			loaded++
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "postferry.yaml"), []byte(block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, _, stderr := program(t, dir, "", documented, "config", "show"); code != 0 {
				t.Errorf("%s: exit code %d: %s", filepath.Base(doc), code, stderr)
			}
		}
	}
	if loaded == 0 {
		t.Error("no document shows a whole configuration")
	}
}

func TestQuickStartOfTheReadmeRunsAsWritten(t *testing.T) {
	root := mailtest.ModuleRoot(t)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for line := range strings.Lines(string(readme)) {
		if command, indented := strings.CutPrefix(line, "    "); indented {
			commands = append(commands, strings.TrimSpace(command))
		} else if len(commands) > 0 {
			break
		}
	}
	if len(commands) != 2 || commands[1] != "make test" { // which is what runs this test
		t.Fatalf("the README begins with the commands %q", commands)
	}
	cmd := exec.Command("sh", "-c", commands[0])
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", commands[0], err)
	}
	if events := strings.Count(string(out), `"type":"message.received"`); events < 6 {
		t.Errorf("%s printed %d events", commands[0], events)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil || !regexp.MustCompile(`(?m)^test:`).Match(makefile) {
		t.Errorf("make test is not in the Makefile: %v", err)
	}
}

// TestCommandsOfTheReadmeAreThere holds the README to the program's own help.
func TestCommandsOfTheReadmeAreThere(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(mailtest.ModuleRoot(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^    postferry ([a-z]+(?: show)?)`).FindAllStringSubmatch(string(readme), -1) {
		if code, _, stderr := program(t, t.TempDir(), "", nil, append(strings.Fields(m[1]), "--help")...); code != 0 {
			t.Errorf("postferry %s --help: exit code %d: %s", m[1], code, stderr)
		}
	}
}

func TestExplainFailsWhereTheMailGoesElsewhere(t *testing.T) {
	dir := filepath.Join(mailtest.ModuleRoot(t), "examples", "routes")
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"as expected, in another order", []string{"--mailbox", "inbox", "--expect", "everything,sales"}, 0, []string{"route 3 to sales", "takes it"}},
		{"one too few", []string{"--mailbox", "inbox", "--expect", "sales"}, 1, []string{"[everything, sales]", "expected was [sales]"}},
		{"one too many", []string{"--mailbox", "inbox", "--expect", "sales,everything,pager"}, 1, []string{"expected was"}},
		{"an unknown mailbox", []string{"--mailbox", "inbax"}, 64, []string{"inbax", "inbox"}},
		{"no mailbox", nil, 64, []string{"--mailbox"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, stderr := program(t, dir, "", documented, append([]string{"explain", "mail.eml"}, c.args...)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, stderr)
			}
			for _, word := range c.says {
				if !strings.Contains(out+stderr, word) {
					t.Errorf("it does not say %q: %s%s", word, out, stderr)
				}
			}
			if strings.Contains(out+stderr, hookSecret) {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestTestsNamedInTheGuaranteesExist(t *testing.T) {
	root := mailtest.ModuleRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	err = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			text, readErr := os.ReadFile(path)
			source.Write(text)
			err = readErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1)
	for _, m := range named {
		if !strings.Contains(source.String(), "func "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
	if len(named) < 10 {
		t.Errorf("only %d tests are named", len(named))
	}
}
