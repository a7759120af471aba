package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/postferry/postferry/config"
)

//go:generate go test -run TestConfigurationReferenceIsCurrent -update

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// TestConfigurationReferenceIsCurrent holds the page to what the types of all
// kinds say.
func TestConfigurationReferenceIsCurrent(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "configuration.md")
	page := config.Reference(kinds())
	if *update {
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(page) {
		t.Error("docs/configuration.md is not what the types say; run go generate ./cmd/postferry")
	}
}
