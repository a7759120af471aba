package mailtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var builds sync.Map // name of the file → func() (string, error)

// BuildBinary builds ./cmd/postferry with the given flags ("-race") once for
// this test process and returns its path, in the module's bin folder.
func BuildBinary(t testing.TB, flags ...string) string {
	t.Helper()
	return build(t, "cmd/postferry", flags...)
}

// BuildPeer builds a program that benchmarks compare postferry with, seqloop or
// relay, once for this test process and returns its path.
func BuildPeer(t testing.TB, name string) string {
	t.Helper()
	return build(t, "internal/mailtest/"+name)
}

// BuildExample builds a program of examples/ once for this test process and returns
// its path.
func BuildExample(t testing.TB, name string) string {
	t.Helper()
	return build(t, "examples/"+name)
}

// build builds one main package of this module.
func build(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(pkg, "internal/mailtest/"), "cmd/"), "/", "-")
	for _, f := range flags {
		name += "-" + strings.Trim(strings.Map(fileSafe, f), "-")
	}
	return buildIn(t, ".", "./"+pkg, name, flags)
}

// buildNATS builds the nats-server that the module in natsd names.
func buildNATS(t testing.TB) string {
	t.Helper()
	return buildIn(t, "internal/mailtest/natsd", "github.com/nats-io/nats-server/v2", "nats-server", nil)
}

// buildIn builds a main package of the module in a folder, once for this test
// process.
func buildIn(t testing.TB, folder, pkg, name string, flags []string) string {
	t.Helper()
	root := ModuleRoot(t)
	once, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		return buildInto(filepath.Join(root, "bin", "test", name), filepath.Join(root, folder), pkg, flags)
	}))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// buildInto builds under a name of its own and renames, so that test processes
// running at the same time never see half a file, nor one that is in use.
func buildInto(path, folder, pkg string, flags []string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	args := append(append([]string{"build", "-o", tmp}, flags...), pkg)
	cmd := exec.Command("go", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return path, os.Rename(tmp, path)
}

func fileSafe(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
		return r
	}
	return '-'
}
