package pop3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

const canary = "hunter2-canary"

var two = [][]byte{[]byte("Subject: 1\r\n\r\none\r\n"), []byte("Subject: 2\r\n\r\n.two\r\n")}

// client is a source for a server of the test's own.
func client(t testing.TB, s *pop3d.Server, mode dial.Mode, edit func(*Options)) *Source {
	t.Helper()
	o := Options{
		Server:   dial.Server{Scheme: "pop3", Host: s.Host, Port: s.Port, Mode: mode},
		Username: "ada", Password: secret.New(canary),
	}
	if edit != nil {
		edit(&o)
	}
	source, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// visit lists, retrieves everything, deletes it and tells the first error; whole
// are the mails that were read to io.EOF.
func visit(ctx context.Context, s *Source) (whole [][]byte, err error) {
	var kept keep
	_, err = visitWith(ctx, s, &kept)
	return kept, err
}

// keep is given each mail in one piece.
type keep [][]byte

func (k *keep) Write(raw []byte) (int, error) {
	*k = append(*k, raw)
	return len(raw), nil
}

// visitWith is visit with the octets of each whole mail written in one piece, where
// whole is not io.Discard.
func visitWith(ctx context.Context, s *Source, whole io.Writer) (n int, err error) {
	x, err := s.Open(ctx)
	if err != nil {
		return n, err
	}
	defer x.Close()
	l, err := x.List(ctx, "INBOX", "")
	if err != nil {
		return n, err
	}
	var due []spool.Settlement
	err = x.Retrieve(ctx, l.Refs, func(ref fetcher.Ref, r io.Reader) error {
		var raw []byte
		var err error
		if whole == io.Discard {
			_, err = io.Copy(io.Discard, r)
		} else {
			raw, err = io.ReadAll(r)
		}
		if err == nil {
			n++
			whole.Write(raw)
			due = append(due, spool.Settlement{UID: ref.UID, Action: spool.Action{Verb: spool.Delete}})
		}
		return err
	})
	if err != nil {
		return n, err
	}
	return n, x.Settle(ctx, due)
}

func TestHostileReplies(t *testing.T) {
	const (
		message = fetcher.MessageRadius
		session = fetcher.SessionRadius
		account = fetcher.AccountRadius
	)
	long := strings.Repeat("x", 5000)
	type reply = pop3d.Reply
	say, cut, endless := pop3d.Say, pop3d.Cut, pop3d.Endless
	tests := []struct {
		fact    string
		command string
		reply   reply
		radius  fetcher.Radius
		cause   fetcher.Cause
		says    string
		whole   int
	}{
		{"greeting -ERR", "", cut("-ERR go away\r\n"), session, fetcher.Temporary, "go away", 0},
		{"greeting of another protocol", "", say("220 smtp.example.com ESMTP\r\n"), session, fetcher.Protocol, "neither +OK nor -ERR", 0},
		{"empty greeting", "", say("\r\n"), session, fetcher.Protocol, "neither", 0},
		{"greeting without CR", "", say("+OK\n"), session, fetcher.Protocol, "CRLF", 0},
		{"greeting in lower case", "", say("+ok\r\n"), session, fetcher.Protocol, "neither", 0},
		{"greeting too long", "", say("+OK " + long + "\r\n"), session, fetcher.Protocol, "more than", 0},
		{"endless greeting", "", endless("+OK ", "x"), session, fetcher.Protocol, "more than", 0},
		{"greeting cut", "", cut("+OK rea"), session, fetcher.Unreachable, "closed", 0},
		{"no greeting", "", cut(""), session, fetcher.Unreachable, "closed", 0},
		{"two greetings", "", say("+OK\r\n+OK\r\n"), session, fetcher.Protocol, "before it was asked", 0},
		{"terminal escapes", "", say("-ERR \x1b[2J\r\n"), session, fetcher.Temporary, `\x1b[2J`, 0},

		{"unknown user", "USER", say("-ERR no such user\r\n"), account, fetcher.Refused, "no such user", 0},
		{"wrong password", "PASS", say("-ERR no\r\n"), account, fetcher.Refused, "check username", 0},
		{"password repeated", "PASS", say("-ERR wrong: " + canary + "\r\n"), account, fetcher.Refused, secret.Masked, 0},
		{"AUTH", "PASS", say("-ERR [AUTH] no\r\n"), account, fetcher.Refused, "check username", 0},
		{"IN-USE", "PASS", say("-ERR [IN-USE] locked\r\n"), session, fetcher.Temporary, "another client", 0},
		{"in-use in lower case", "PASS", say("-ERR [in-use] locked\r\n"), session, fetcher.Temporary, "another client", 0},
		{"LOGIN-DELAY", "PASS", say("-ERR [LOGIN-DELAY] wait\r\n"), session, fetcher.Temporary, "less often", 0},
		{"SYS/TEMP", "PASS", say("-ERR [SYS/TEMP] wait\r\n"), session, fetcher.Temporary, "trouble", 0},
		{"SYS/PERM", "PASS", say("-ERR [SYS/PERM] never\r\n"), account, fetcher.Temporary, "operator", 0},
		{"sign-in continued", "PASS", say("+ eyJz\r\n"), session, fetcher.Protocol, "neither", 0},

		{"endless capabilities", "CAPA", endless("+OK\r\n", "X\r\n"), session, fetcher.Protocol, "more than it has counted", 0},

		{"STAT malformed", "STAT", say("+OK many\r\n"), session, fetcher.Protocol, "malformed", 0},
		{"STAT without numbers", "STAT", say("+OK\r\n"), session, fetcher.Protocol, "malformed", 0},
		{"STAT negative", "STAT", say("+OK -1 0\r\n"), session, fetcher.Protocol, "-1", 0},
		{"STAT huge", "STAT", say("+OK 99999999 1\r\n"), session, fetcher.Protocol, "at most", 0},
		{"STAT more than listed", "STAT", say("+OK 3 9\r\n"), session, fetcher.Protocol, "STAT counts 3 mails, LIST 2", 0},
		{"STAT fewer than listed", "STAT", say("+OK 1 9\r\n"), session, fetcher.Protocol, "more than it has counted", 0},
		{"LIST short", "LIST", say("+OK\r\n1 9\r\n.\r\n"), session, fetcher.Protocol, "LIST 1", 0},
		{"LIST with a short line", "LIST", say("+OK\r\n1\r\n2 9\r\n.\r\n"), session, fetcher.Protocol, "malformed", 0},
		{"LIST with an empty line", "LIST", say("+OK\r\n\r\n2 9\r\n.\r\n"), session, fetcher.Protocol, "malformed", 0},
		{"LIST with a negative size", "LIST", say("+OK\r\n1 -9\r\n2 9\r\n.\r\n"), session, fetcher.Protocol, "malformed", 0},
		{"LIST with a number twice", "LIST", say("+OK\r\n1 9\r\n1 9\r\n.\r\n"), session, fetcher.Protocol, "twice", 0},
		{"LIST that ends in a bare LF", "LIST", say("+OK\r\n1 9\r\n2 9\r\n.\n"), session, fetcher.Protocol, "CRLF", 0},
		{"LIST cut", "LIST", cut("+OK\r\n1 9\r\n"), session, fetcher.Unreachable, "closed", 0},
		{"LIST refused", "LIST", say("-ERR [SYS/TEMP] disk\r\n"), session, fetcher.Temporary, "disk", 0},

		{"no UIDL", "UIDL", say("-ERR unknown command\r\n"), session, fetcher.Protocol, "use IMAP", 0},
		{"UIDL short", "UIDL", say("+OK\r\n1 a\r\n.\r\n"), session, fetcher.Protocol, "UIDL 1", 0},
		{"UIDL with a short line", "UIDL", say("+OK\r\n1 a\r\n2\r\n.\r\n"), session, fetcher.Protocol, "malformed", 0},
		{"UIDL with a number twice", "UIDL", say("+OK\r\n1 a\r\n1 b\r\n.\r\n"), session, fetcher.Protocol, "twice", 0},
		{"UIDL endless", "UIDL", endless("+OK\r\n", "1 a\r\n"), session, fetcher.Protocol, "more than it has counted", 0},

		{"RETR refused", "RETR 1", say("-ERR broken\r\n"), message, fetcher.Temporary, "u1: -ERR broken", 1},
		{"RETR refused for now", "RETR 1", say("-ERR [SYS/TEMP] disk\r\n"), session, fetcher.Temporary, "disk", 0},
		{"RETR without status", "RETR 1", say("Subject: x\r\n.\r\n"), session, fetcher.Protocol, "neither", 0},
		{"body cut", "RETR 1", cut("+OK\r\nSubject: 1\r\n"), session, fetcher.Unreachable, "closed", 0},
		{"body cut after the dot", "RETR 1", cut("+OK\r\nSubject: 1\r\n."), session, fetcher.Unreachable, "closed", 0},
		{"body cut within the end", "RETR 1", cut("+OK\r\nSubject: 1\r\n.\r"), session, fetcher.Unreachable, "closed", 0},
		{"body with an end of bare LFs", "RETR 1", cut("+OK\r\nSubject: 1\n.\n"), session, fetcher.Unreachable, "closed", 0},
		{"body without byte-stuffing", "RETR 2", say("+OK\r\nSubject: 2\r\n\r\n.\r\ntwo\r\n.\r\n"), session, fetcher.Protocol, "after the end of a mail", 1},
		{"body endless", "RETR 1", endless("+OK\r\n", "x\r\n"), session, fetcher.Unreachable, "larger than", 0},
		{"body one endless line", "RETR 1", endless("+OK\r\n", "x"), session, fetcher.Unreachable, "larger than", 0},

		{"DELE refused", "DELE 1", say("-ERR no\r\n"), message, fetcher.Temporary, "u1: -ERR no", 2},
		{"DELE cut", "DELE 1", cut(""), session, fetcher.Unreachable, "closed", 2},
		{"QUIT refused", "QUIT", say("-ERR some not removed\r\n"), session, fetcher.Temporary, "some not removed", 2},
		{"QUIT without a reply", "QUIT", cut(""), session, fetcher.Unreachable, "closed", 2},
		{"QUIT cut in its reply", "QUIT", cut("+OK"), session, fetcher.Unreachable, "closed", 2},
	}
	for _, test := range tests {
		t.Run(test.fact, func(t *testing.T) {
			s := pop3d.Start(t, pop3d.Script{test.command: test.reply}, two...)
			whole, err := visit(t.Context(), client(t, s, dial.Plain, func(o *Options) { o.MaxOctets = 1 << 20 }))
			if err == nil {
				t.Fatal("no error")
			}
			if got := fetcher.RadiusOf(err); got != test.radius {
				t.Errorf("radius %d, want %d", got, test.radius)
			}
			if got := fetcher.CauseOf(err); got != test.cause {
				t.Errorf("cause %d, want %d", got, test.cause)
			}
			if text := err.Error(); !strings.Contains(text, test.says) || strings.Contains(text, canary) || strings.ContainsAny(text, "\r\x1b") {
				t.Errorf("error %q, want %q in it, and no secret or control octet", text, test.says)
			}
			if len(whole) != test.whole {
				t.Errorf("%d mails were whole, want %d", len(whole), test.whole)
			}
			for _, m := range whole {
				if !slices.ContainsFunc(two, func(w []byte) bool { return bytes.Equal(w, m) }) {
					t.Errorf("a mail came as %q", m)
				}
			}
			if test.whole < 2 && s.Stored() != 2 {
				t.Errorf("%d mails are left of 2", s.Stored())
			}
		})
	}
}

func TestSilenceEndsTheSession(t *testing.T) {
	for _, command := range []string{"", "USER", "PASS", "CAPA", "STAT", "LIST", "UIDL", "RETR", "DELE", "QUIT"} {
		t.Run(command, func(t *testing.T) {
			s := pop3d.Start(t, pop3d.Script{command: pop3d.Silence("+OK")}, two...)
			_, err := visit(t.Context(), client(t, s, dial.Plain, func(o *Options) { o.Silence = 100 * time.Millisecond }))
			if !errors.Is(err, os.ErrDeadlineExceeded) || fetcher.CauseOf(err) != fetcher.Unreachable {
				t.Errorf("error %v", err)
			}
			if s.Stored() != 2 {
				t.Errorf("%d mails are left of 2", s.Stored())
			}
		})
	}
}

func TestAnEndedContextInterruptsABlockedCall(t *testing.T) {
	for _, command := range []string{"", "PASS", "UIDL", "RETR", "QUIT"} {
		t.Run(command, func(t *testing.T) {
			s := pop3d.Start(t, pop3d.Script{command: pop3d.Silence("+OK")}, two...)
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(50*time.Millisecond, cancel)
			defer timer.Stop()
			if _, err := visit(ctx, client(t, s, dial.Plain, nil)); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAnOversizedMailDoesNotBlockTheOthersForEver(t *testing.T) {
	s := pop3d.Start(t, pop3d.Script{"RETR 1": pop3d.Endless("+OK\r\n", "x\r\n")}, two...)
	source := client(t, s, dial.Plain, func(o *Options) { o.MaxOctets = 1 << 16 })
	if _, err := visit(t.Context(), source); fetcher.RadiusOf(err) != fetcher.SessionRadius || !errors.Is(err, errTooLarge) {
		t.Errorf("first visit: %v", err)
	}
	whole, err := visit(t.Context(), source)
	if fetcher.RadiusOf(err) != fetcher.MessageRadius || !errors.Is(err, errTooLarge) || len(whole) != 1 {
		t.Errorf("second visit: %d mails, %v", len(whole), err)
	}
}

func TestQuitIsNotSentWhenSomethingMightBeLost(t *testing.T) {
	full := errors.New("full")
	for _, test := range []struct {
		fact string
		take func(fetcher.Ref, io.Reader) error
	}{
		{"the first cannot be taken", func(fetcher.Ref, io.Reader) error { return full }},
		{"the last was read and cannot be taken", func(ref fetcher.Ref, r io.Reader) error {
			if _, err := io.Copy(io.Discard, r); err != nil || ref.UID == "u1" {
				return err
			}
			return full
		}},
	} {
		t.Run(test.fact, func(t *testing.T) {
			s := pop3d.Start(t, nil, two...)
			x, err := client(t, s, dial.Plain, nil).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			l, _ := x.List(t.Context(), "INBOX", "")
			if err := x.Retrieve(t.Context(), l.Refs, test.take); !errors.Is(err, full) {
				t.Errorf("Retrieve = %v", err)
			}
			if x.Settle(t.Context(), nil) == nil {
				t.Error("a session with a lost mail was settled")
			}
			x.Close()
			if slices.Contains(s.Commands(), "QUIT") {
				t.Errorf("QUIT among %q", s.Commands())
			}
		})
	}
}

// witness is a connection that notes who wrote each command.
type witness struct {
	connection
	mu    sync.Mutex
	wrote map[string]bool // keyword → by go-pop3
}

func (w *witness) Write(p []byte) (int, error) {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	library := false
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		library = library || strings.HasPrefix(f.Function, "github.com/knadh/go-pop3.(*Conn).")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		w.wrote[strings.Fields(line)[0]] = library
	}
	return w.connection.Write(p)
}

func (w *witness) Upgrade(ctx context.Context, c *tls.Config, b ...byte) error {
	return w.connection.Upgrade(ctx, c, b...)
}

func TestTheLibraryIssuesTheSession(t *testing.T) {
	s := pop3d.Start(t, nil, two...)
	source := client(t, s, dial.Plain, nil)
	w := &witness{wrote: map[string]bool{}}
	connect := source.connect
	source.connect = func(ctx context.Context) (connection, error) {
		c, err := connect(ctx)
		w.connection = c
		return w, err
	}
	if _, err := visit(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"USER", "PASS", "CAPA", "STAT", "LIST", "UIDL", "QUIT"} {
		if by, sent := w.wrote[command]; !by || !sent {
			t.Errorf("%s: sent %v, by the library %v", command, sent, by)
		}
	}
	for _, command := range []string{"RETR", "DELE"} {
		if by, sent := w.wrote[command]; by || !sent {
			t.Errorf("%s: sent %v, by the library %v", command, sent, by)
		}
	}
	want := []string{"CAPA", "USER ada", "PASS " + canary, "STAT", "LIST", "UIDL", "RETR 1", "RETR 2", "DELE 1", "DELE 2", "QUIT"}
	if got := s.Commands(); !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {Username: "a\r\nDELE 1"}, {Username: "a", Password: secret.New("b\n")}, {Username: "a", WindowMails: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) has no error", o)
		}
	}
}
