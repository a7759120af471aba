package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// verdict is what a test said.
type verdict int

const (
	passed verdict = iota
	failed
)

// lines of go test -v that tell how a test ended.
var ended = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL): (\S+) `)

// try runs the test of a fault in a tree. The error is that it says nothing: it
// was not built, does not exist, or did not end.
func (f fault) try(ctx context.Context, root string) (verdict, string, error) {
	parts := strings.Split(f.test, "/")
	parts[0] = "^" + parts[0] + "$"
	cmd := exec.CommandContext(ctx, "go", "test", "-v", "-count=1", "-timeout=5m", "-run", strings.Join(parts, "/"), f.pkg)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	text := string(out)
	if ctx.Err() != nil {
		return 0, text, ctx.Err()
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, text, err
	}
	ran, fails := false, false
	for _, m := range ended.FindAllStringSubmatch(text, -1) {
		ran = ran || strings.Count(m[2], "/") >= len(parts)-1
		fails = fails || m[1] == "FAIL" && m[2] == f.top()
	}
	switch {
	case fails && err != nil:
		return failed, text, nil
	case ran && err == nil:
		return passed, text, nil
	case err == nil:
		return 0, text, fmt.Errorf("%s has no test %s", f.pkg, f.test)
	}
	return 0, text, fmt.Errorf("%s of %s did not come to an end: %w", f.test, f.pkg, err)
}

// seed puts the fault into the tree, runs its test, and takes it out again. The
// error is nil if the test fails.
func (f fault) seed(ctx context.Context, root string) (text string, err error) {
	if err := f.apply(ctx, root); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.apply(context.WithoutCancel(ctx), root, "--reverse")) }()
	v, text, err := f.try(ctx, root)
	if err == nil && v == passed {
		err = errNotCaught
	}
	return text, err
}

var errNotCaught = errors.New("the test passes with the fault")

// copyTree copies the sources of a module: everything but its repository and what
// was built.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case rel == ".git" || rel == "bin":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // of another process, and gone
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, info.Mode().Perm())
	})
}
