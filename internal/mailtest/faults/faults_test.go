package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
)

func TestEveryFaultAppliesAndIsListedAndItsTestIsThere(t *testing.T) {
	faults, err := all()
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) < 20 {
		t.Errorf("only %d faults", len(faults))
	}
	root := mailtest.ModuleRoot(t)
	guarantees, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if err := f.apply(t.Context(), root, "--check"); err != nil {
				t.Errorf("the patch does not apply: %v", err)
			}
			files, err := filepath.Glob(filepath.Join(root, f.pkg, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			declared := regexp.MustCompile(`(?m)^func ` + f.top() + `\(t \*testing\.T\) \{$`)
			there := false
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				there = there || declared.Match(text)
			}
			if !there {
				t.Errorf("no %s in %s", f.top(), f.pkg)
			}
			if row := fmt.Sprintf("| `%s` | %s | `%s` |\n", f.name, f.fact, f.test); !strings.Contains(string(guarantees), row) {
				t.Errorf("docs/guarantees.md lacks the row %s", row)
			}
		})
	}
}

func TestPatchesThatDoNotSayWhatTheyAreAreRefused(t *testing.T) {
	for _, text := range []string{
		"",
		"--- a/x.go\n+++ b/x.go\n",
		"Fault: x\nPackage: ./x\n\n--- a/x.go\n",
		"Fault: x\nPackage: ./x\nTest: TestX\nWhy: y\n\n--- a/x.go\n",
	} {
		if _, err := parse("x", []byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// one is a module with a sum that two tests look at, one of them closely.
func one(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "one")
	for name, text := range map[string]string{
		"go.mod":     "module one\n\ngo 1.26\n",
		"sum.go":     "package one\n\nfunc sum(a, b int) int {\n\treturn a + b\n}\n",
		".git/x":     "not copied\n",
		"bin/one":    "not copied\n",
		"sub/a.txt":  "copied\n",
		"go.mod.bak": "copied\n",
		"sum_test.go": "package one\n\nimport \"testing\"\n\n" +
			"func TestSum(t *testing.T) {\n\tt.Run(\"two\", func(t *testing.T) {\n\t\tif sum(2, 2) != 4 {\n\t\t\tt.Error(\"wrong\")\n\t\t}\n\t})\n}\n\n" +
			"func TestLax(t *testing.T) {\n\tif sum(0, 0) != 0 {\n\t\tt.Error(\"wrong\")\n\t}\n}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOnlyATestThatFailsWithTheFaultHasCaughtIt(t *testing.T) {
	from, to := one(t), filepath.Join(t.TempDir(), "copy")
	if err := copyTree(from, to); err != nil {
		t.Fatal(err)
	}
	diff := func(with string) string {
		return "\n--- a/sum.go\n+++ b/sum.go\n@@ -3,3 +3,3 @@\n func sum(a, b int) int {\n-\treturn a + b\n+\treturn " + with + "\n }\n"
	}
	for _, c := range []struct {
		fact, test, with string
		caught, passes   bool
	}{
		{"a test that fails", "TestSum", "a + b + 1", true, false},
		{"a subtest that fails", "TestSum/two", "a + b + 1", true, false},
		{"a test that does not look", "TestLax", "a * b", false, true},
		{"a fault that cannot be built", "TestSum", "a + c", false, false},
		{"a test that is not there", "TestOther", "a + b + 1", false, false},
		{"a subtest that is not there", "TestSum/three", "a + b + 1", false, false},
	} {
		f, err := parse("sum", []byte("Fault: wrong sums\nPackage: .\nTest: "+c.test+"\n"+diff(c.with)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.seed(t.Context(), to)
		if caught := err == nil; caught != c.caught || errors.Is(err, errNotCaught) != c.passes {
			t.Errorf("%s: %v\n%s", c.fact, err, text)
		}
		if left, err := os.ReadFile(filepath.Join(to, "sum.go")); err != nil || !strings.Contains(string(left), "a + b\n") {
			t.Fatalf("%s: the fault was left in the copy: %s %v", c.fact, left, err)
		}
	}
	for name, want := range map[string]bool{"sub/a.txt": true, "go.mod.bak": true, ".git/x": false, "bin/one": false} {
		if _, err := os.Stat(filepath.Join(to, name)); (err == nil) != want {
			t.Errorf("%s copied: %v, want %v", name, err == nil, want)
		}
	}
}
