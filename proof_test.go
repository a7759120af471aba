package postferry_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMakeRunsWhatTheRaceDetectorLeavesOut fails where `make test` would run a
// test of a file without the race detector neither with it nor afterwards.
func TestMakeRunsWhatTheRaceDetectorLeavesOut(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(`(?m)^PROOF = (.+)$`).FindSubmatch(makefile)
	command := regexp.MustCompile(`(?m)^\tgo test (.+) -run '\$\(PROOF\)'$`).FindSubmatch(makefile)
	if pattern == nil || command == nil {
		t.Fatal("the Makefile has no PROOF, or no line that runs it")
	}
	proof, packages := regexp.MustCompile(string(pattern[1])), strings.Fields(string(command[1]))
	test := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	found := 0
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !regexp.MustCompile(`(?m)^//go:build .*!race`).Match(text) {
			return err
		}
		for _, name := range test.FindAllSubmatch(text, -1) {
			found++
			if !proof.Match(name[1]) || !slices.Contains(packages, "./"+filepath.ToSlash(filepath.Dir(path))) {
				t.Errorf("%s: %s is run by none of the Makefile's lines", path, name[1])
			}
		}
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("%d tests found, error %v", found, err)
	}
}
