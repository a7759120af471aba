package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBrokenFilesAreRefusedWithPlaceAndRemedy loads each file of
// testdata/broken; what must be said of it stands beside it.
func TestBrokenFilesAreRefusedWithPlaceAndRemedy(t *testing.T) {
	t.Chdir("testdata/broken")
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v; want at least 40", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, "yaml") + "txt")
			if err != nil {
				t.Fatal(err)
			}
			_, err = load([]string{file}, environ())
			if err == nil {
				t.Fatal("loaded without an error")
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("said\n%swant\n%s", got, want)
			}
		})
	}
}
