package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-of-the-program"

// script is a program that runs the lines.
func script(t testing.TB, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700))
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func makeSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New("program", o, payload.Renderer{}, sinks.Env{})
	must(t, err)
	return s
}

func deliver(t testing.TB, s *Sink, raw string) (sinks.Receipt, error) {
	t.Helper()
	return s.Deliver(t.Context(), sinktest.Delivery(t, 1, raw))
}

func TestAProgramIsASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "got"), 0o700))
		program := script(t, `
[ -p entered ] && { echo >entered; exec sleep 600; }
[ -e refuse ] && { echo "refused, with $TOKEN"; exit $(cat refuse); }
cat >"part.$$" && mv "part.$$" "got/$POSTFERRY_ID.$$"`)
		o := Options{Command: []string{program}, Dir: dir, Env: map[string]secret.Secret{"TOKEN": secret.New(token)}}
		denied, dead := o, o
		denied.Command = []string{script(t, `echo "$TOKEN may not" >&2; exit 77`)}
		dead.Command = []string{filepath.Join(dir, "nothing")}
		refuse := func(t testing.TB, status int) {
			must(t, os.WriteFile(filepath.Join(dir, "refuse"), []byte(fmt.Sprint(status)), 0o600))
		}
		return sinktest.Fixture{
			Sink: makeSink(t, o), Dead: makeSink(t, dead), Denied: makeSink(t, denied), Secrets: []string{token},
			Stored: func(t testing.TB, id string) (all [][]byte) {
				files, err := filepath.Glob(filepath.Join(dir, "got", id+".*"))
				must(t, err)
				for _, file := range files {
					octets, err := os.ReadFile(file)
					must(t, err)
					all = append(all, octets)
				}
				return all
			},
			Refuse: func(t testing.TB) { refuse(t, 75) },
			Accept: func(t testing.TB) { must(t, os.Remove(filepath.Join(dir, "refuse"))) },
			Large:  func(t testing.TB) string { refuse(t, 65); return sinktest.Mail },
			Hang: func(t testing.TB, entered func()) {
				fifo := filepath.Join(dir, "entered")
				must(t, syscall.Mkfifo(fifo, 0o600))
				go func() {
					_, _ = os.ReadFile(fifo) // until the program has opened and closed it
					entered()
				}()
			},
		}
	})
}

func TestTheExitStatusDecides(t *testing.T) {
	const mail, sink, temporary = "mail", "sink", "temporary"
	faults := map[string][]int{
		mail: {65, 67, 68}, sink: {64, 69, 72, 73, 77, 78, 126, 127}, temporary: {1, 2, 66, 70, 71, 74, 75, 76, 100, 255},
	}
	for want, codes := range faults {
		for _, code := range codes {
			s := makeSink(t, Options{Command: []string{"sh", "-c", fmt.Sprintf("cat >/dev/null; echo out; echo why >&2; exit %d", code)}})
			_, err := deliver(t, s, sinktest.Mail)
			got := temporary
			switch {
			case err == nil:
				got = "none"
			case sinks.IsPermanent(err):
				got = mail
			case sinks.IsSinkFault(err):
				got = sink
			}
			var answered *sinks.AttemptError
			if got != want || !errors.As(err, &answered) || answered.Detail != fmt.Sprint(code) || answered.Answer != "why" || !strings.Contains(err.Error(), fmt.Sprintf("exit status %d", code)) {
				t.Errorf("%d is of %s: %v", code, got, err)
			}
		}
	}
	s := makeSink(t, Options{Command: []string{"sh", "-c", "kill -9 $$"}})
	if _, err := deliver(t, s, sinktest.Mail); err == nil || sinks.IsPermanent(err) || sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("a signal: %v", err)
	}
}

func TestWhatAProgramPrintsIsKeptWithinBounds(t *testing.T) {
	s := makeSink(t, Options{Command: []string{"sh", "-c", "cat >/dev/null; printf 'stored as 17\\n'; printf note >&2"}})
	if r, err := deliver(t, s, sinktest.Mail); err != nil || r.Answer != "stored as 17" || r.Detail != "0" {
		t.Errorf("%+v, %v", r, err)
	}
	s = makeSink(t, Options{Command: []string{"sh", "-c", "head -c 10000000 /dev/zero; exit 1"}})
	var answered *sinks.AttemptError
	if _, err := deliver(t, s, sinktest.Mail); !errors.As(err, &answered) || len(answered.Answer) > shownOutput {
		t.Errorf("%v", err)
	}
}

func TestAProgramNeedNotReadTheMail(t *testing.T) {
	s := makeSink(t, Options{Command: []string{"true"}})
	if _, err := deliver(t, s, "Subject: large\r\n\r\n"+strings.Repeat("line of a large mail\r\n", 100_000)); err != nil {
		t.Error(err)
	}
}

func TestATimeLimitEndsAllThatWasStarted(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	// Whoever reads the fifo is at its end when the last that has it open for writing is gone.
	gone := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(fifo)
		gone <- err
	}()
	s := makeSink(t, Options{Timeout: 200 * time.Millisecond, Command: []string{"sh", "-c", "exec >'" + fifo + "'; trap '' TERM; sh -c 'trap \"\" TERM; sleep 600' & sleep 600"}})
	_, err := deliver(t, s, sinktest.Mail)
	if err == nil || sinks.IsPermanent(err) || sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "has not ended within 200ms") {
		t.Errorf("the error is %v", err)
	}
	select {
	case err := <-gone:
		must(t, err)
	case <-time.After(30 * time.Second):
		t.Error("something of it still runs")
	}
}

func TestWhatAProgramLeavesRunningDelaysNothingForLong(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	s := makeSink(t, Options{Command: []string{"sh", "-c", "cat >/dev/null; sleep 600 & echo $! >'" + pid + "'"}})
	if _, err := deliver(t, s, sinktest.Mail); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(pid)
	must(t, err)
	var left int
	_, err = fmt.Sscan(string(text), &left)
	must(t, err)
	must(t, syscall.Kill(left, syscall.SIGKILL)) // it does run
}

func TestTheEnvironmentTellsOfTheDeliveryAndNothingOfTheMail(t *testing.T) {
	t.Setenv("SUPPORT_PASSWORD", "a-password-of-mine")
	s := makeSink(t, Options{Command: []string{"sh", "-c", "cat >/dev/null; env | sort >&2; exit 75"}, Env: map[string]secret.Secret{"QUEUE": secret.New("in")}})
	d := sinktest.Delivery(t, 1, "Subject: () { :; }; echo evil\r\nFrom: evil@example.com\r\nMessage-ID: <evil@x>\r\n\r\nevil\r\n")
	folder := "() { :; }; echo one\r\ntwo\x00"
	d.Origin.Folder = &folder
	_, err := s.Deliver(t.Context(), d)
	if err == nil {
		t.Fatal("no error")
	}
	out := facts(d, mustRender(t, s, d))
	for _, want := range []string{"POSTFERRY_ID=" + sinktest.ID(1), "POSTFERRY_ATTEMPT=1", "POSTFERRY_TIMESTAMP=2026-11-23T12:00:01Z", "POSTFERRY_MAILBOX=support", "POSTFERRY_PROTOCOL=imap", "POSTFERRY_CONTENT_TYPE=application/json", "POSTFERRY_FOLDER= { :; }; echo one  two "} {
		if !strings.Contains("\n"+strings.Join(out, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("%q lacks %q", out, want)
		}
	}
	all := strings.Join(append(out, s.fixed...), "\n")
	if strings.Contains(all, "evil") || strings.Contains(all, "a-password-of-mine") || !strings.Contains(all, "\nQUEUE=in") || !strings.Contains(all, "\nPATH=") {
		t.Errorf("the environment is %s", all)
	}
}

func mustRender(t testing.TB, s *Sink, d *sinks.Delivery) *payload.Body {
	t.Helper()
	body, err := s.render.Render(d)
	must(t, err)
	t.Cleanup(body.Release)
	return body
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	env := func(name, value string) map[string]secret.Secret {
		return map[string]secret.Secret{name: secret.New(value)}
	}
	for _, c := range []struct {
		fact string
		o    Options
		says string
	}{
		{"no program", Options{}, "names no program"},
		{"an empty one", Options{Command: []string{""}}, "names no program"},
		{"a path from nowhere", Options{Command: []string{"bin/ingest"}}, "write the whole path"},
		{"a hole", Options{Command: []string{"/bin/ingest", "{{ message.subject }}"}}, "command[1]: an argument has no holes"},
		{"a NUL", Options{Command: []string{"/bin/ingest", "a\x00b"}}, "NUL"},
		{"a negative time", Options{Command: []string{"/bin/ingest"}, Timeout: -1}, "negative"},
		{"a variable of postferry's", Options{Command: []string{"/bin/ingest"}, Env: env("POSTFERRY_ID", "secret-pass")}, "set by postferry itself"},
		{"a name that is none", Options{Command: []string{"/bin/ingest"}, Env: env("A=B", "secret-pass")}, "not the name of a variable"},
		{"a value with a NUL", Options{Command: []string{"/bin/ingest"}, Env: env("A", "secret-pass\x00")}, "has a NUL"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			_, err := New("program", c.o, payload.Renderer{}, sinks.Env{})
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-pass") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestACheckOfAFolderThatIsNotThereSaysSo(t *testing.T) {
	s := makeSink(t, Options{Command: []string{"true"}, Dir: "/nonexistent/folder"})
	if found := s.Check(t.Context()); len(found) != 2 || found[1].OK || found[1].Fix == "" {
		t.Errorf("%+v", found)
	}
	if _, err := deliver(t, s, sinktest.Mail); !sinks.IsSinkFault(err) {
		t.Errorf("the error is %v", err)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("INBOX")
	f.Add("() { :; }; x\r\n\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if got := plain(s); strings.ContainsAny(got, "\x00\r\n") || strings.HasPrefix(got, "()") || len(got) > longestFact {
			t.Errorf("%q became %q", s, got)
		}
	})
}
