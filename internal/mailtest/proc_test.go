package mailtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProcIsMeasuredAndWaitedFor(t *testing.T) {
	p := StartProc(t, Command{
		Path: "/bin/sh", Dir: "/", Env: []string{"GREETING=hello"}, Stdin: strings.NewReader("go\n"),
		Args: []string{"-c", "read x; echo $GREETING; pwd >&2; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 7"},
	})
	if code := p.Wait(t, 30*time.Second); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if p.Stdout.String() != "hello\n" || p.Stderr.String() != "/\n" {
		t.Errorf("output %q and %q", p.Stdout, p.Stderr)
	}
	if p.CPU() < 10*time.Millisecond || p.CPU() > 20*time.Second {
		t.Errorf("CPU = %v", p.CPU())
	}
	if p.HWM() < 100<<10 || p.HWM() > 64<<20 {
		t.Errorf("HWM = %d", p.HWM())
	}
	if p.Running() || p.RSS() != 0 {
		t.Error("it is still told to run")
	}
}

func TestKillEndsTheWholeGroup(t *testing.T) {
	p := StartProc(t, Command{Path: "/bin/sh", Args: []string{"-c", "sleep 300 & echo $!; wait"}})
	p.Stdout.Await(t, "\n")
	if p.RSS() == 0 || p.HWM() == 0 || !p.Running() {
		t.Errorf("RSS %d, HWM %d, running %v", p.RSS(), p.HWM(), p.Running())
	}
	p.Kill()
	if code := p.Wait(t, time.Second); code != -1 {
		t.Errorf("exit code %d, want -1", code)
	}
	deadline := time.Now().Add(5 * time.Second)
	for livingGroup(t, p.PID) != "" {
		if time.Now().After(deadline) {
			t.Fatalf("still there: %s", livingGroup(t, p.PID))
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.Kill() // again: no harm
}

func TestSignalReachesTheProcess(t *testing.T) {
	p := StartProc(t, Command{Path: "/bin/sh", Args: []string{"-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done"}})
	p.Stdout.Await(t, "ready")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(t, 10*time.Second); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}

func TestAwaitIsBounded(t *testing.T) {
	o := newOutput()
	o.Write([]byte("one"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := o.await(ctx, "two"); err == nil || !strings.Contains(err.Error(), "one") {
		t.Errorf("waiting in vain gave %v", err)
	}
}

func TestBuildIsWholeAndDoneOnce(t *testing.T) {
	first := build(t, "internal/mailtest/seqloop")
	before, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	second := build(t, "internal/mailtest/seqloop")
	after, err := os.Stat(second)
	if err != nil {
		t.Fatal(err)
	}
	if first != second || !os.SameFile(before, after) {
		t.Errorf("built again: %s, %s", first, second)
	}
	if left, _ := filepath.Glob(first + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
