// Package docs_test keeps the pages that are made from code as they are made.
package docs_test

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/fetcher/pop3"
	"github.com/postferry/postferry/sinks/file"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/webhook"
)

//go:generate go test -run TestConfigurationReferenceIsCurrent -update

var update = flag.Bool("update", false, "write the page anew")

var kinds = config.Kinds{
	Mailboxes: map[string]any{"imap": imap.Config{}, "pop3": pop3.Config{}},
	Sinks:     map[string]any{"file": file.Options{}, "webhook": webhook.Options{}},
	Formats:   payload.Formats(),
}

func TestConfigurationReferenceIsCurrent(t *testing.T) {
	page := config.Reference(kinds)
	if *update {
		if err := os.WriteFile("configuration.md", page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(page) {
		t.Error("configuration.md is not what the types say; run go generate ./docs")
	}
}

// TestReferenceHasEveryKind holds the list above to the program's.
func TestReferenceHasEveryKind(t *testing.T) {
	source, err := os.ReadFile("../cmd/postferry/kinds.go")
	if err != nil {
		t.Fatal(err)
	}
	var program, here []string
	for _, row := range regexp.MustCompile(`(?m)^\t\{"([a-z0-9]+)", `).FindAllSubmatch(source, -1) {
		program = append(program, string(row[1]))
	}
	for name := range kinds.Mailboxes {
		here = append(here, name)
	}
	for name := range kinds.Sinks {
		here = append(here, name)
	}
	slices.Sort(program)
	slices.Sort(here)
	if !slices.Equal(program, here) {
		t.Errorf("the program has the kinds %q, the reference %q", program, here)
	}
}
