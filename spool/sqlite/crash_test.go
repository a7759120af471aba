package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
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

// ownUntilToldToEnd opens the store, says so, and waits for the end of its
// standard input.
func ownUntilToldToEnd(dir string) error {
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "spool.db"))
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = os.Stdin.Read(make([]byte, 1)) // its end is an error
	return s.Close()
}

func TestAnotherProcessIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spool.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=owner", "POSTFERRY_SPOOL_DIR="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("a second owner: %v", err)
	}
	r, err := sqlite.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Errorf("a reader beside the owner: %v", err)
	} else if _, err := r.Status(t.Context()); err != nil {
		t.Error(err)
	} else if err := r.Close(); err != nil {
		t.Error(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("after the owner ended: %v", err)
	}
	s.Close()
}
