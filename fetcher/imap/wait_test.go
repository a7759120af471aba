package imap

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/spool"
)

// until waits for a condition that a server is about to meet.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// watching starts Wait and returns when the server is in IDLE.
func watching(t *testing.T, ctx context.Context, s *imapd.Server, x fetcher.Session) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- x.(fetcher.Watcher).Wait(ctx, "INBOX") }()
	until(t, "the session is in IDLE", func() bool { return s.Idle() > 0 })
	return ended
}

// usable fails the test unless the session lists as many mails.
func usable(t *testing.T, x fetcher.Session, mails int) {
	t.Helper()
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil || len(l.Refs) != mails || !l.Complete {
		t.Errorf("after Wait, List = %q, complete %v, %v", listed(l), l.Complete, err)
	}
}

func TestWaitEndsWithTheNews(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	for n := 4; n < 8; n++ {
		ended := watching(t, t.Context(), s, x)
		s.Deliver("INBOX", two[0])
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		usable(t, x, n)
	}
}

func TestAListingAfterNewsDoesNotSelectAgain(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	selected := func() (n int) {
		for _, c := range s.Commands() {
			if imapd.Keyword(c) == "SELECT" {
				n++
			}
		}
		return n
	}
	usable(t, x, 3)
	ended := watching(t, t.Context(), s, x)
	s.Deliver("INBOX", two[0])
	<-ended
	before := selected()
	usable(t, x, 4)
	if n := selected() - before; n != 0 {
		t.Errorf("after news the box was selected %d times", n)
	}
	usable(t, x, 4)
	if n := selected() - before; n != 1 {
		t.Errorf("without news the box was selected %d times", n)
	}
}

func TestWhatIsNoNewsDoesNotEndWait(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := watching(t, ctx, s, x)
	for _, line := range []string{"* OK Still here\r\n", "* 3 EXISTS\r\n", "* 0 RECENT\r\n", "* 1 FETCH (FLAGS (\\Seen))\r\n", "* 2 EXPUNGE\r\n", "* 2 EXISTS\r\n", "* XFOO\r\n"} {
		s.Say(line)
	}
	select {
	case err := <-ended:
		t.Fatalf("Wait = %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Say("* 3 EXISTS\r\n") // one more than after the expunge
	if err := <-ended; err != nil {
		t.Errorf("Wait = %v", err)
	}
	cancel()
}

func TestAnEndedContextLeavesTheSessionUsable(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := watching(t, ctx, s, x)
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Wait = %v", err)
		}
		usable(t, x, 3)
	}
	if !slices.Contains(s.Commands(), "DONE") {
		t.Errorf("no DONE among %q", s.Commands())
	}
}

func TestAContextThatEndsAsIdleBeginsLeavesTheSessionUsable(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	ctx, cancel := context.WithCancel(t.Context())
	s.Twist(func(command, answer string) string {
		if command == "IDLE" {
			cancel() // the command has come, its answer has not gone
		}
		return answer
	})
	if err := x.(fetcher.Watcher).Wait(ctx, "INBOX"); err != context.Canceled {
		t.Errorf("Wait = %v", err)
	}
	usable(t, x, 3)
}

func TestWaitEndsInTime(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, func(o *Options) { o.IdleRenew = 20 * time.Millisecond }))
	if err := x.(fetcher.Watcher).Wait(t.Context(), "INBOX"); err != nil {
		t.Errorf("Wait = %v", err)
	}
	usable(t, x, 3)
}

func TestAServerMayEndIDLEItself(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Script: imapd.Script{"IDLE": imapd.Say("+ idling\r\n$ OK enough\r\n")}}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	if err := x.(fetcher.Watcher).Wait(t.Context(), "INBOX"); err != nil {
		t.Errorf("Wait = %v", err)
	}
	usable(t, x, 3)
	if slices.Contains(s.Commands(), "DONE") {
		t.Error("DONE was sent to a server that is not in IDLE")
	}
}

func TestDONETooLateIsHarmless(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Script: imapd.Script{"DONE": imapd.Say("$ OK I ended it before\r\nDONE BAD Error in IMAP command\r\n")}}, three...)
	x := open(t, client(t, s, dial.Plain, func(o *Options) { o.IdleRenew = time.Millisecond }))
	if err := x.(fetcher.Watcher).Wait(t.Context(), "INBOX"); err != nil {
		t.Errorf("Wait = %v", err)
	}
	usable(t, x, 3)
}

func TestAServerThatRefusesIDLEIsAskedInstead(t *testing.T) {
	for _, refusal := range []string{"$ NO not now\r\n", "$ BAD what\r\n"} {
		s := imapd.Start(t, imapd.Options{Script: imapd.Script{"IDLE": imapd.Say(refusal)}}, three...)
		x := open(t, client(t, s, dial.Plain, func(o *Options) { o.AskEvery = 5 * time.Millisecond }))
		for n := 4; n < 6; n++ {
			ended := make(chan error, 1)
			go func() { ended <- x.(fetcher.Watcher).Wait(t.Context(), "INBOX") }()
			asked := len(s.Commands())
			until(t, "NOOP is sent", func() bool { return slices.Contains(s.Commands()[asked:], "NOOP") })
			s.Deliver("INBOX", two[0])
			if err := <-ended; err != nil {
				t.Errorf("%q: Wait = %v", refusal, err)
			}
			usable(t, x, n)
		}
		idles := 0
		for _, c := range s.Commands() {
			if c == "IDLE" {
				idles++
			}
		}
		if idles != 1 || slices.Contains(s.Commands(), "DONE") {
			t.Errorf("%q: IDLE was sent %d times, among %q", refusal, idles, s.Commands())
		}
	}
}

func TestADeadConnectionEndsWait(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	ended := watching(t, t.Context(), s, x)
	s.Drop()
	if err := <-ended; fetcher.CauseOf(err) != fetcher.Unreachable {
		t.Errorf("Wait = %v", err)
	}
	if _, err := x.List(t.Context(), "INBOX", ""); !errors.Is(err, fetcher.ErrFinished) {
		t.Errorf("List = %v", err)
	}
}

func TestABYEInIDLEIsReported(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	ended := watching(t, t.Context(), s, x)
	s.Say("* BYE maintenance\r\n")
	s.Drop()
	err := <-ended
	if err == nil {
		t.Fatal("no error")
	}
	wantError(t, err, fetcher.SessionRadius, fetcher.Temporary, "BYE maintenance")
}

func TestSilenceAtTheEndsOfIDLEIsBounded(t *testing.T) {
	for _, command := range []string{"IDLE", "DONE"} {
		s := imapd.Start(t, imapd.Options{Script: imapd.Script{command: imapd.Silence("")}}, three...)
		x := open(t, client(t, s, dial.Plain, func(o *Options) { o.IdleReply, o.IdleRenew = 50*time.Millisecond, 50*time.Millisecond }))
		if err := x.(fetcher.Watcher).Wait(t.Context(), "INBOX"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: Wait = %v", command, err)
		}
	}
}

func TestNewsBeforeWaitEndItAtOnce(t *testing.T) {
	for _, caps := range []string{imapd.AllCaps, "IMAP4rev1"} {
		s := imapd.Start(t, imapd.Options{Caps: caps, Script: imapd.Script{"UID STORE": imapd.Say("* 4 EXISTS\r\n$ OK\r\n")}}, three...)
		x := open(t, client(t, s, dial.Plain, nil))
		usable(t, x, 3)
		if err := x.Settle(t.Context(), due(spool.Action{Verb: spool.Seen}, "7/1")); err != nil {
			t.Fatal(err)
		}
		if err := x.(fetcher.Watcher).Wait(t.Context(), "INBOX"); err != nil {
			t.Errorf("Wait = %v", err)
		}
	}
}

func TestOwnDeletionsAreNoNews(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	usable(t, x, 3)
	if err := x.Settle(t.Context(), due(spool.Action{Verb: spool.Delete}, "7/1", "7/2")); err != nil {
		t.Fatal(err)
	}
	ended := watching(t, t.Context(), s, x)
	s.Deliver("INBOX", two[0]) // two mails: fewer than were there, and one more than now
	if err := <-ended; err != nil {
		t.Errorf("Wait = %v", err)
	}
	usable(t, x, 2)
}

func TestWithoutIDLETheServerIsAsked(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Caps: "IMAP4rev1"}, three...)
	x := open(t, client(t, s, dial.Plain, func(o *Options) { o.AskEvery = 5 * time.Millisecond }))
	usable(t, x, 3)
	ended := make(chan error, 1)
	go func() { ended <- x.(fetcher.Watcher).Wait(t.Context(), "INBOX") }()
	until(t, "NOOP is sent", func() bool { return slices.Contains(s.Commands(), "NOOP") })
	s.Deliver("INBOX", two[0])
	if err := <-ended; err != nil {
		t.Errorf("Wait = %v", err)
	}
	usable(t, x, 4)
}
