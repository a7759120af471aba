//go:build !race

// Processes of their own are recorded or killed here: the race detector would see
// nothing of them and take ten times as long. `make test` runs this without it.

package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

// child runs the test's binary as another process until it ends, and returns
// what it wrote to standard output and error.
func child(t *testing.T, env []string, wrap ...string) (out, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append(wrap, os.Args[0])
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

func TestKilledAtEveryPointNothingIsLost(t *testing.T) {
	for _, point := range failpoint.Points {
		if !strings.HasPrefix(point, "spool.") {
			continue
		}
		for _, k := range []int{1, 2} {
			once := strings.HasPrefix(point, "spool.purge") // the one when a spool is opened
			if once && k > 1 {
				continue
			}
			dir := memory(t)
			env := append(busyEnv(dir, "FULL", 60), fmt.Sprintf("%s=%s:hit#%d", failpoint.Variable, point, k))
			out, stderr, err := child(t, env)
			if !killed(err) {
				t.Errorf("%s was not passed %d times: %v %s", point, k, err, stderr)
				continue
			}
			if _, err := check(t.Context(), dir, out); err != nil {
				t.Errorf("killed at %s, hit %d: %v", point, k, err)
			}
			os.RemoveAll(dir)
		}
	}
}

// A disk that fails to sync once, and says afterwards that all is well, is the
// one that loses what was written (Rebello and others, "Can Applications Recover
// from fsync Failures?", 2020).
func TestFailedSyncFencesTheStoreAndNothingIsLost(t *testing.T) {
	fenced := 0
	for n := 1; n <= 40; n += 3 {
		dir := memory(t)
		out, stderr, err := child(t, busyEnv(dir, "FULL", 60), "strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null",
			"-e", "trace=fsync,fdatasync", "-e", fmt.Sprintf("inject=fsync,fdatasync:error=EIO:when=%d", n))
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if err == nil {
			t.Errorf("sync %d failed and the workload did not notice", n)
		}
		if strings.Contains(stderr, spool.ErrFenced.Error()) {
			fenced++
		}
		if _, err := check(t.Context(), dir, out); err != nil {
			t.Errorf("sync %d failed: %v", n, err)
		}
		os.RemoveAll(dir)
	}
	if fenced < 10 {
		t.Errorf("the store was fenced in %d runs", fenced)
	}
}
