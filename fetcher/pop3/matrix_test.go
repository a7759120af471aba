//go:build !race

// A hundred spools are filled and emptied here, which the race detector would only
// slow; what they do at the same time is watched in the tests beside.

package pop3_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/spool"
)

// ids are the ways servers give unique-ids.
var ids = []struct {
	name string
	set  func(o *pop3d.Options, session func() int)
}{
	{"unique-ids", func(*pop3d.Options, func() int) {}},
	{"no unique-ids", func(o *pop3d.Options, _ func() int) { o.NoUIDL = true }},
	{"unique-ids shared by two", func(o *pop3d.Options, _ func() int) {
		o.UID = func(i int, _ []byte) string { return fmt.Sprint("pair", i/2) }
	}},
	{"other unique-ids in each session", func(o *pop3d.Options, session func() int) {
		o.UID = func(i int, _ []byte) string { return fmt.Sprint("s", session(), "m", i) }
	}},
	{"unique-ids of 80 characters", func(o *pop3d.Options, _ func() int) {
		o.UID = func(i int, _ []byte) string { return strings.Repeat("x", 78) + fmt.Sprintf("%02d", i) }
	}},
	{"unique-ids of eight bits", func(o *pop3d.Options, _ func() int) {
		o.UID = func(i int, _ []byte) string { return fmt.Sprint("grün", i) }
	}},
}

// policies are what happens to mail on the server.
var policies = []struct {
	name string
	set  func(p *spool.Policy)
}{
	{"delete", func(p *spool.Policy) { p.After = spool.Action{Verb: spool.Delete} }},
	{"keep", func(p *spool.Policy) { p.After = spool.Action{Verb: spool.Keep} }},
	{"delete after 30 days", func(p *spool.Policy) {
		p.After, p.Delay = spool.Action{Verb: spool.Delete}, 30*24*time.Hour
	}},
}

// behaviours are the odd ways of servers. Each heals after a while.
var behaviours = []struct {
	name string
	set  func(o *pop3d.Options)
}{
	{"hides what was retrieved", func(o *pop3d.Options) { o.Hide = true }},
	{"deletes on hang-up", func(o *pop3d.Options) {
		o.CommitOnHangUp = true
		o.Script["RETR 9"] = pop3d.Reply{Cut: true, Times: 2}
	}},
	{"loses the reply to QUIT", func(o *pop3d.Options) { o.Script["QUIT"] = pop3d.Reply{Obeyed: true, Cut: true, Times: 2} }},
	{"refuses QUIT", func(o *pop3d.Options) {
		o.Script["QUIT"] = pop3d.Reply{Octets: "-ERR some deleted messages not removed\r\n", Cut: true, Times: 2}
	}},
	{"is in use", func(o *pop3d.Options) { o.Script["PASS"] = refusal("[IN-USE] locked by another session") }},
	{"has trouble", func(o *pop3d.Options) {
		o.Script["UIDL"], o.Script["LIST"] = refusal("[SYS/TEMP] disk"), refusal("[SYS/TEMP] disk")
	}},
	{"refuses the password", func(o *pop3d.Options) { o.Script["PASS"] = refusal("[AUTH] not now") }},
}

func refusal(text string) pop3d.Reply { return pop3d.Reply{Octets: "-ERR " + text + "\r\n", Times: 2} }

// outcome is how a cell ends: after five polls in a day, and after nine more in
// the six weeks that follow.
type outcome struct {
	early left // after the first five
	left  left // at the end
}

// left is what is on the server.
type left int

const (
	none left = iota
	all
)

func (l left) mails() int { return int(l) * cellMails }

// outcomes are by policy and behaviour; whatever the unique-ids, all mails are
// delivered, each once.
var outcomes = map[string]map[string]outcome{
	"delete": {
		"hides what was retrieved": {none, none}, "deletes on hang-up": {none, none}, "loses the reply to QUIT": {none, none}, "refuses QUIT": {none, none},
		"is in use": {none, none}, "has trouble": {none, none}, "refuses the password": {none, none},
	},
	"keep": {
		"hides what was retrieved": {all, all}, "deletes on hang-up": {all, all}, "loses the reply to QUIT": {all, all}, "refuses QUIT": {all, all},
		"is in use": {all, all}, "has trouble": {all, all}, "refuses the password": {all, all},
	},
	"delete after 30 days": {
		"hides what was retrieved": {all, none}, "deletes on hang-up": {all, none}, "loses the reply to QUIT": {all, none}, "refuses QUIT": {all, none},
		"is in use": {all, none}, "has trouble": {all, none}, "refuses the password": {all, none},
	},
}

// TestMatrix has each policy kept towards each kind of server: nothing is lost,
// nothing is deleted before it is delivered, and nothing is delivered twice.
func TestMatrix(t *testing.T) {
	cells := 0
	for _, id := range ids {
		for _, policy := range policies {
			for _, behaviour := range behaviours {
				cells++
				want, there := outcomes[policy.name][behaviour.name]
				if !there {
					t.Fatalf("no outcome of %s and %s", policy.name, behaviour.name)
				}
				t.Run(id.name+"/"+policy.name+"/"+behaviour.name, func(t *testing.T) {
					t.Parallel()
					c := newCell(t)
					id.set(&c.options, func() int { return c.server.Sessions() })
					policy.set(&c.policy)
					behaviour.set(&c.options)
					c.start()
					c.polls(5, 2*time.Hour)
					if n := c.server.Stored(); n != want.early.mails() {
						t.Errorf("%d mails are left before the 30 days, want %d", n, want.early.mails())
					}
					c.polls(9, 5*24*time.Hour)
					c.check(want.left.mails())
				})
			}
		}
	}
	if cells != 126 {
		t.Errorf("%d cells, want 126", cells)
	}
}
