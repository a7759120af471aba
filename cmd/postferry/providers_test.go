package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/mailtest"
)

var presetRow = regexp.MustCompile("(?m)^\\| `([a-z0-9.]+)` \\| (imap|pop3) \\| (\\d+) \\| (\\d+) \\|$")

func TestThePageOfProvidersIsTrueToThePresets(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(mailtest.ModuleRoot(t), "docs", "providers.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := presetRow.FindAllStringSubmatch(string(page), -1)
	if len(rows) < 9 {
		t.Fatalf("%d rows of presets", len(rows))
	}
	for _, r := range rows {
		connections, _ := strconv.Atoi(r[3])
		octets, _ := strconv.ParseInt(r[4], 10, 64)
		if got, want := fetcher.Preset(r[2], r[1]), (fetcher.Budget{Connections: connections, Octets: octets}); got != want {
			t.Errorf("%s by %s: the preset is %+v, the page says %+v", r[1], r[2], got, want)
		}
	}
}
