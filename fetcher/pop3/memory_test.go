package pop3_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/spool"
)

// asked counts a command since the server was last looked at.
func (c *cell) asked(command string) (n int) {
	all := c.server.Commands()
	for _, line := range all[c.seen:] {
		if line == command || strings.HasPrefix(line, command+" ") {
			n++
		}
	}
	c.seen = len(all)
	return n
}

// keeping is a cell that keeps its mail, after two polls.
func keeping(t *testing.T, o pop3d.Options) *cell {
	t.Helper()
	c := newCell(t)
	if o.Script == nil {
		o.Script = pop3d.Script{}
	}
	c.options, c.policy.After = o, spool.Action{Verb: spool.Keep}
	c.start()
	c.polls(2, time.Minute)
	return c
}

func TestAnUnchangedMaildropIsListedOnceAnHour(t *testing.T) {
	c := keeping(t, pop3d.Options{})
	if n := c.asked("UIDL"); n != 1 {
		t.Errorf("UIDL %d times in two polls, want 1", n)
	}
	c.polls(57, time.Minute)
	if n := c.asked("UIDL"); n != 0 {
		t.Errorf("UIDL %d times in the hour, want 0", n)
	}
	c.polls(60, time.Minute)
	if n := c.asked("UIDL"); n != 1 {
		t.Errorf("UIDL %d times in the next hour, want 1", n)
	}
}

func TestAMailThatComesIsListedAtOnce(t *testing.T) {
	c := keeping(t, pop3d.Options{})
	c.asked("UIDL")
	c.server.Add([]byte("Subject: new\r\n\r\n"))
	c.polls(2, time.Minute)
	if n := c.asked("UIDL"); n != 1 || len(c.delivered) != cellMails+1 {
		t.Errorf("UIDL %d times, %d mails delivered", n, len(c.delivered))
	}
}

func TestAMailThatCouldNotBeHadIsAskedForAgain(t *testing.T) {
	c := keeping(t, pop3d.Options{Script: pop3d.Script{"RETR 7": pop3d.Reply{Octets: "-ERR not now\r\n", Times: 3}}})
	c.polls(2, time.Minute)
	c.check(cellMails)
	if n := c.asked("UIDL"); n != 4 {
		t.Errorf("UIDL %d times in four polls, want 4", n)
	}
	c.polls(1, time.Minute)
	if n := c.asked("UIDL"); n != 0 {
		t.Errorf("UIDL %d times once all was had, want 0", n)
	}
}

func TestWhatIsDeletedHereIsKnownToBeGone(t *testing.T) {
	c := newCell(t)
	c.policy.After = spool.Action{Verb: spool.Delete}
	c.start()
	c.polls(1, time.Minute)
	if n := c.server.Stored(); n != 0 {
		t.Fatalf("%d mails are left", n)
	}
	c.server.Add([]byte("Subject: new\r\n\r\n"))
	c.polls(1, time.Minute)
	if n := c.server.Stored(); n != 0 || len(c.delivered) != cellMails+1 {
		t.Errorf("%d mails are left, %d were delivered", n, len(c.delivered))
	}
}

// The server closes each session after 20 RETR and DELE.
func TestSessionsAreMadeAsLongAsTheServerAllows(t *testing.T) {
	c := newCell(t)
	c.options.Hangs = 20
	c.policy.After = spool.Action{Verb: spool.Delete}
	c.start()
	add := func(word string, n int) {
		for i := range n {
			c.server.Add(fmt.Appendf(nil, "Subject: %s %d\r\n\r\n", word, i))
		}
	}
	add("first", 50-cellMails)
	c.polls(4, time.Minute)
	opened := c.server.Sessions()
	if opened > 30 || c.server.Stored() != 0 {
		t.Errorf("%d mails are left of 50, after %d sessions", c.server.Stored(), opened)
	}
	add("more", 30)
	c.polls(1, time.Minute)
	if n := c.server.Sessions() - opened; c.server.Stored() != 0 || n > 5 {
		t.Errorf("%d mails are left of 30 more, after %d sessions", c.server.Stored(), n)
	}
	if cut := strings.Count(strings.Join(c.server.Commands(), "|"), "QUIT"); cut < 5 {
		t.Errorf("%d sessions ended well", cut)
	}
	// A day later the bound is forgotten, and learnt again.
	c.clock.Advance(25 * time.Hour)
	add("still more", 30)
	c.polls(4, time.Minute)
	if n := c.server.Stored(); n != 0 {
		t.Errorf("%d mails are left a day later", n)
	}
}

func TestOneCutIsNoLimit(t *testing.T) {
	c := newCell(t)
	c.options.Script["RETR 9"] = pop3d.Reply{Cut: true, Times: 1}
	c.policy.After = spool.Action{Verb: spool.Delete}
	c.start()
	c.polls(2, time.Minute)
	c.check(0)
	if n := c.server.Sessions(); n > 4 { // two polls, and what is settled after each
		t.Errorf("%d sessions", n)
	}
}
