package failpoint

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The child passes a point three times and says how far it came.
func TestMain(m *testing.M) {
	if os.Getenv("FAILPOINT_CHILD") == "" {
		os.Exit(m.Run())
	}
	for range 3 {
		os.Stdout.WriteString(".")
		Hit("spool.rename.before")
	}
	os.Exit(0)
}

func TestProcessIsKilledAtTheHitThatIsNamed(t *testing.T) {
	for _, c := range []struct {
		value, says string
		killed      bool
	}{
		{"", "...", false},
		{"spool.rename.before", ".", true},
		{"spool.rename.before:hit#1", ".", true},
		{"spool.rename.before:hit#3", "...", true},
		{"spool.rename.before:hit#4", "...", false},
		{"spool.rename.after", "...", false},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FAILPOINT_CHILD=1", Variable+"="+c.value)
		out, err := cmd.Output()
		killed := false
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			killed = exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		}
		if string(out) != c.says || killed != c.killed || err != nil && !killed {
			t.Errorf("%s: said %q, killed %v, error %v; want %q, %v", c.value, out, killed, err, c.says, c.killed)
		}
	}
}

func TestProcessStopsAtTheHitThatIsNamedAndGoesNoFurther(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FAILPOINT_CHILD=1", Variable+"=spool.rename.before:stop#2")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the process did not stop: %v, %v", status, err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGCONT, syscall.SIGKILL} { // continued, it does not pass the point
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	said, err := io.ReadAll(out)
	if err != nil || string(said) != ".." {
		t.Errorf("said %q, %v", said, err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", err)
	}
}

func TestMisspeltPointsAreRefused(t *testing.T) {
	for _, text := range []string{"spool.nowhere", "spool.rename.before:hit#0", "spool.rename.before:hit#x", ":hit#1", "spool.rename.before:stop#0", "spool.rename.before:hit#1:stop#1"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	a, err := parse(Points[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a Hit of a name that is no point passed")
		}
	}()
	a.hit("spool.nowhere", func() {})
}

func TestPointsAreNamedOnceAndByRoom(t *testing.T) {
	for i, p := range Points {
		if slices.Contains(Points[:i], p) {
			t.Errorf("%s stands there twice", p)
		}
		if strings.Count(p, ".") < 1 || strings.ToLower(p) != p {
			t.Errorf("%s is not room.step", p)
		}
	}
}

func BenchmarkHitWhenOff(b *testing.B) {
	for b.Loop() {
		Hit("spool.rename.before")
	}
}
