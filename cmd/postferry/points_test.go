//go:build !race

// Processes of their own are killed, cut or recorded here: the race detector would
// see nothing of them, and slow what watches them.

package main_test

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/internal/mailtest"
)

// stepsOf are all named steps that a mailbox of the kind comes by, beside the
// wire points and those within the spool.
func stepsOf(scheme string) (points []string) {
	for _, p := range failpoint.Points {
		switch room, _, _ := strings.Cut(p, "."); room {
		case scheme, "take", "route", "deliver", "record", "settle":
			points = append(points, p)
		}
	}
	return points
}

func TestKilledOnceAtEachNamedStepNothingIsLost(t *testing.T) {
	rich := mailtest.StartDovecot(t)
	rich.AddUser(t, ada, password)
	poor := mailtest.StartDovecot(t, "imap_capability = IMAP4rev1 UIDPLUS") // no MOVE: COPY, STORE, UID EXPUNGE
	poor.AddUser(t, ada, password)
	binary := mailtest.BuildBinary(t)
	walked := map[string]bool{}
	for i, c := range []struct {
		name, scheme string
		dovecot      *mailtest.Dovecot
		after        string
		left         string // where mails are in the end; "" if they are deleted
		points       func(all []string) []string
	}{
		{"POP3, delete", "pop3", rich, "delete", "", nil},
		{"IMAP, delete", "imap", rich, "delete", "", func(all []string) []string {
			return without(all, "imap.move", "imap.copy")
		}},
		{"IMAP, MOVE", "imap", rich, "move:Moved", "Moved", func(all []string) []string { return only(all, "imap.move") }},
		{"IMAP, COPY for want of MOVE", "imap", poor, "move:Copied", "Copied", func(all []string) []string {
			return only(all, "imap.copy", "imap.store", "imap.expunge")
		}},
		{"IMAP, seen", "imap", rich, "seen", "INBOX", func(all []string) []string { return only(all, "imap.store") }},
	} {
		points := stepsOf(c.scheme)
		if c.points != nil {
			points = c.points(points)
		}
		for _, p := range points {
			walked[p] = true
		}
		t.Run(c.name, func(t *testing.T) {
			k := &crash{world: &world{dovecot: c.dovecot, binary: binary}, scheme: c.scheme, more: []string{"after: " + c.after}, left: c.left, seed: uint64(8+i) * 1e6}
			all := map[string]bool{} // of this mailbox, in all subtests
			for _, point := range points {
				t.Run(point, func(t *testing.T) {
					k.killOnce(t, point, all)
				})
				if t.Failed() {
					return
				}
			}
		})
	}
	for _, p := range slices.Concat(stepsOf("pop3"), stepsOf("imap")) {
		if !walked[p] {
			t.Errorf("nothing was killed at %s", p)
		}
	}
}

// killOnce kills one drain of six mails at a point, lets it end, and holds the
// whole against the oracle. there are the mails sent before to a mailbox that
// keeps them.
func (c *crash) killOnce(t *testing.T, point string, there map[string]bool) {
	sent := c.begin(t, 6)
	if !c.kill(point, 1) {
		t.Fatal("the point was not passed")
	}
	if c.left == "INBOX" {
		c.onlyDeliveredAreSeen(sent)
	} else {
		c.conserved(sent, 1)
	}
	c.once(0)
	got := c.tokens()
	for token := range sent {
		there[token] = true
		if len(got[token]) != 1 {
			t.Errorf("%s came under %d ids", token, len(got[token]))
		}
	}
	for token := range got {
		if !there[token] {
			t.Errorf("%s was never sent", token)
		}
	}
	if c.left == "INBOX" {
		flagged(t, c.world, `\Seen`, len(there))
	} else if in := c.dovecot.Count(t, ada, "INBOX"); in != 0 {
		t.Errorf("%d mails left in INBOX", in)
	}
	if c.left != "" {
		found := map[string]bool{}
		for _, raw := range c.dovecot.Stored(t, ada, c.left) {
			found[mailtest.Token(raw)] = true
		}
		if !maps.Equal(found, there) {
			t.Errorf("%s holds %d different mails, want %d", c.left, len(found), len(there))
		}
	}
	extra := 0
	for _, times := range c.receiver.Accepted() {
		extra += times - 1
	}
	if extra > inFlight {
		t.Errorf("%d duplicates, at most %d were in flight", extra, inFlight)
	}
	c.verify()
}

// onlyDeliveredAreSeen fails if a mail of this drain is seen and was not accepted.
func (c *crash) onlyDeliveredAreSeen(sent map[string][32]byte) {
	c.t.Helper()
	flags, accepted := c.dovecot.Flags(c.t, ada, "INBOX"), c.tokens()
	for _, raw := range c.dovecot.Stored(c.t, ada, "INBOX") {
		token := mailtest.Token(raw)
		if _, ours := sent[token]; ours && len(accepted[token]) == 0 && slices.Contains(flags[sha256.Sum256(raw)], `\Seen`) {
			c.t.Errorf("%s is seen and was not delivered", token)
		}
	}
}

// only are the points of the steps.
func only(points []string, steps ...string) []string {
	return slices.DeleteFunc(slices.Clone(points), func(p string) bool { return !ofStep(p, steps) })
}

// without are the points of all other steps.
func without(points []string, steps ...string) []string {
	return slices.DeleteFunc(slices.Clone(points), func(p string) bool { return ofStep(p, steps) })
}

func ofStep(point string, steps []string) bool {
	return slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(point, s+".") })
}
