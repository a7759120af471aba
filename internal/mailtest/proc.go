package mailtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Command says how a process is started.
type Command struct {
	Path  string
	Args  []string
	Dir   string
	Env   []string  // added to the test's own environment
	Stdin io.Reader // nil: nothing
}

// Proc is a running process of one test, with all it started in a process
// group of its own. It is killed when the test ends.
type Proc struct {
	PID    int
	Stdout *Output
	Stderr *Output

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output is complete
	err  error
	hwm  atomic.Int64
}

// StartProc starts a process. If the test fails, the end of its standard error
// is printed.
func StartProc(t testing.TB, c Command) *Proc {
	t.Helper()
	p := &Proc{Stdout: newOutput(), Stderr: newOutput(), done: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Dir, p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = c.Dir, c.Stdin, p.Stdout, p.Stderr
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipes
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", c.Path, err)
	}
	p.PID = p.cmd.Process.Pid
	go p.watch()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("standard error of %s %s:\n%s", c.Path, strings.Join(c.Args, " "), tail(p.Stderr.String(), 8000))
		}
	})
	return p
}

// watch notes the memory in use until the process has ended.
func (p *Proc) watch() {
	ended := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			p.HWM()
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	})
	p.err = p.cmd.Wait()
	close(ended)
	sampler.Wait()
	close(p.done)
}

// Signal sends a signal to the process alone.
func (p *Proc) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the process and all it started with SIGKILL, and returns when it is
// gone.
func (p *Proc) Kill() {
	select {
	case <-p.done:
		// The id may belong to another by now.
		return
	default:
	}
	syscall.Kill(-p.PID, syscall.SIGKILL)
	<-p.done
}

// Running reports whether the process has not ended yet.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait returns the exit code once the process has ended by itself: -1 if by a
// signal. It fails the test when that takes longer than d.
func (p *Proc) Wait(t testing.TB, d time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(d):
		t.Fatalf("process %d has not ended within %v", p.PID, d)
	}
	return p.cmd.ProcessState.ExitCode()
}

// KillStopped waits until the process has stopped itself (SIGSTOP) and kills it
// then; killed is false, with the exit code, where it ended without. It fails the
// test when neither comes within d.
func (p *Proc) KillStopped(t testing.TB, d time.Duration) (killed bool, code int) {
	t.Helper()
	late := time.After(d)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return false, p.cmd.ProcessState.ExitCode()
		case <-late:
			t.Fatalf("process %d has neither stopped nor ended within %v", p.PID, d)
		case <-tick.C:
		}
		// "T (stopped)", proc(5)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
		if err == nil && bytes.Contains(status, []byte("State:\tT (stopped)")) {
			p.Kill()
			return true, -1
		}
	}
}

// HWM is the most memory the process has had resident, in octets: VmHWM of
// /proc/PID/status, which unlike ru_maxrss does not count the parent's. Of a
// process that has ended it is what was last seen, at most 50 ms before.
func (p *Proc) HWM() int64 {
	if n, err := StatusField(p.PID, "VmHWM"); err == nil && n > p.hwm.Load() {
		p.hwm.Store(n)
	}
	return p.hwm.Load()
}

// RSS is the memory resident now, in octets; 0 if the process has ended.
func (p *Proc) RSS() int64 {
	n, err := StatusField(p.PID, "VmRSS")
	if err != nil {
		return 0
	}
	return n
}

// CPU is the processor time the process has used so far, in user and system
// mode, without its children.
func (p *Proc) CPU() time.Duration {
	if !p.Running() {
		return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	}
	// proc_pid_stat(5): after the name in parentheses, utime and stime are the
	// 12th and 13th field, in ticks of 1/100 s on every Linux Go runs on.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// StatusField is a field of /proc/PID/status that is told in kB, in octets.
func StatusField(pid int, name string) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			var kb int64
			_, err := fmt.Sscan(rest, &kb)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s for process %d", name, pid)
}

// Output collects what a process writes.
type Output struct {
	mu   sync.Mutex
	text []byte
	news chan struct{}
}

func newOutput() *Output { return &Output{news: make(chan struct{})} }

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	close(o.news)
	o.news = make(chan struct{})
	return len(b), nil
}

// String is all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// Await returns once the text holds want, or fails the test after half a
// minute with all there is.
func (o *Output) Await(t testing.TB, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := o.await(ctx, want); err != nil {
		t.Fatal(err)
	}
}

func (o *Output) await(ctx context.Context, want string) error {
	for {
		o.mu.Lock()
		found, news := bytes.Contains(o.text, []byte(want)), o.news
		o.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the output lacks %q:\n%s", want, tail(o.String(), 8000)), ctx.Err())
		}
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
