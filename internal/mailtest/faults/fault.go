package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

//go:embed testdata/*.patch
var patches embed.FS

// fault is a defect put in on purpose, and the test that has to fail with it.
type fault struct {
	name  string // the patch's file name, without .patch
	fact  string // what the program does wrong with it
	pkg   string // the package of the test, as ./spool/sqlite
	test  string // as go test -run takes it, each part between slashes a pattern
	patch []byte // a unified diff from the module's root, with the three lines above before it
}

// all reads the faults that stand in testdata.
func all() ([]fault, error) {
	entries, err := patches.ReadDir("testdata")
	if err != nil {
		return nil, err
	}
	var faults []fault
	for _, e := range entries {
		text, err := patches.ReadFile(path.Join("testdata", e.Name()))
		if err != nil {
			return nil, err
		}
		f, err := parse(strings.TrimSuffix(e.Name(), ".patch"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		faults = append(faults, f)
	}
	return faults, nil
}

// parse reads one patch: lines that say what it is, an empty one, the diff.
func parse(name string, text []byte) (fault, error) {
	f := fault{name: name, patch: text}
	head, _, _ := bytes.Cut(text, []byte("\n\n"))
	for line := range strings.SplitSeq(string(head), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "Fault":
			f.fact = value
		case "Package":
			f.pkg = value
		case "Test":
			f.test = value
		default:
			return f, fmt.Errorf("the line %q is none of Fault, Package, Test", line)
		}
	}
	if f.fact == "" || f.pkg == "" || f.test == "" {
		return f, fmt.Errorf("it does not say what the fault is, and which test of which package catches it")
	}
	return f, nil
}

// top is the test's name without subtests.
func (f fault) top() string {
	top, _, _ := strings.Cut(f.test, "/")
	return top
}

// apply puts the fault into the tree at root, or takes it out. The tree need not
// be a repository.
func (f fault) apply(ctx context.Context, root string, how ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"apply"}, how...)...)
	cmd.Dir, cmd.Stdin = root, bytes.NewReader(f.patch)
	// Paths are the tree's own, whatever repository it may lie in.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git apply %s: %w: %s", strings.Join(how, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
