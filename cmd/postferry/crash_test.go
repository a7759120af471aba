//go:build !race

// Processes of their own are killed, cut or recorded here: the race detector would
// see nothing of them, and slow what watches them.

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/internal/mailtest"
)

// What a crash leaves, and the tests that show it:
//
//   - during retrieval, before the take is committed: nothing is taken, and the next
//     poll takes it: TestKilledOnceAtEachNamedStepNothingIsLost (up to take.before),
//     TestKilledAtEveryStepNothingIsLost (wire and take points)
//   - after the take, before delivery: delivered from the store, not taken twice: the
//     same two (take.after, route, deliver.claimed and deliver.before)
//   - after a sink accepted, before the record: delivered again under the same id:
//     the same two (deliver.after, record.before and the commit of the record)
//   - in the middle of a fan-out: TestInAFanOutOnlyTheSinkThatHasNotAcceptedIsTriedAgain
//   - after delivery, before or while settling: settled again: the same two (settle,
//     pop3.dele and pop3.quit, imap.store, imap.move, imap.copy and imap.expunge)
//   - the store is lost: TestWithTheStoreLostWhatWasNotDeliveredComesAgainUnderTheSameIDs
//   - routes match nothing: TestMailThatNoRouteTakesIsShownAndStaysOnTheServer
//   - at any moment, and again while it recovers: TestKillsMeetEveryPhaseAndRecovery,
//     TestKilledAtAnyMomentOfADrainNothingIsLostAndNothingDeletedTooEarly

// passed are the points that `run --once` comes by, with the phase each is in.
// Those of the commands of the operator are passed in package sqlite's tests.
var passed = []struct{ phase, point string }{
	{"session", "wire.send.before"}, {"session", "wire.send.after"}, {"session", "wire.received"},
	{"take", "spool.stage.write"}, {"take", "spool.stage.fsync.before"}, {"take", "spool.stage.fsync.after"},
	{"take", "spool.rename.before"}, {"take", "spool.rename.after"},
	{"take", "spool.folder.fsync.before"}, {"take", "spool.folder.fsync.after"},
	{"take", "spool.take.commit.before"}, {"take", "spool.take.commit.after"},
	{"route", "spool.route.commit.before"}, {"route", "spool.route.commit.after"},
	{"deliver", "deliver.before"}, {"deliver", "deliver.after"},
	{"record", "spool.record.commit.before"}, {"record", "spool.record.commit.after"},
	{"settle", "settle.before"}, {"settle", "settle.after"},
	{"settle", "spool.settled.commit.before"}, {"settle", "spool.settled.commit.after"},
}

// crash is a world in which the program is killed at points of its own.
type crash struct {
	*world
	scheme string
	more   []string // of the mailbox
	left   string   // the folder mails are in at the end; "" if they are deleted
	seed   uint64
}

// begin fills the mailbox and makes a new store. One mail is large enough for a
// file of its own.
func (c *crash) begin(t *testing.T, mails int) (sent map[string][32]byte) {
	t.Helper()
	c.seed++
	c.world = &world{t: t, dovecot: c.dovecot, receiver: mailtest.NewReceiver(t), binary: c.binary, dir: t.TempDir()}
	c.config = filepath.Join(c.dir, "postferry.yaml")
	c.write("mailboxes:\n" + c.box("inbox", c.scheme, ada, append(c.more, "insecure: true")...) + "\nsinks:\n" + c.sink("app", c.receiver.URL))
	all := mailtest.Mix(20, c.seed)
	all = append(all[19:], all[:19]...)
	for len(all) < mails {
		c.seed++
		all = append(all, mailtest.Mix(19, c.seed)...)
	}
	sent = map[string][32]byte{}
	for _, raw := range all[:mails] {
		sent[mailtest.Token(raw)] = [32]byte{}
	}
	c.fill(all[:mails])
	return sent
}

// kill runs the program until it stops at the point, kills it there, and tells
// whether it came by there so often.
func (c *crash) kill(point string, hit int) bool {
	c.t.Helper()
	p := mailtest.StartProc(c.t, mailtest.Command{Path: c.binary, Args: []string{"run", "--once"}, Dir: c.dir,
		Env: []string{fmt.Sprintf("%s=%s:stop#%d", failpoint.Variable, point, hit)}})
	switch killed, code := p.KillStopped(c.t, time.Minute); {
	case killed:
		return true
	case code == 0:
		return false
	default:
		c.t.Fatalf("%s, hit %d: exit code %d: %s", point, hit, code, tail(p.Stderr.String(), 2000))
		return false
	}
}

// end lets the program finish, and holds the whole against the oracle: every mail
// delivered, none deleted before, duplicates under the same id with the same
// body, at most those that were in flight.
func (c *crash) end(sent map[string][32]byte, what string) {
	c.t.Helper()
	c.conserved(sent, 0)
	c.once(0)
	accepted := c.tokens()
	for token := range sent {
		if len(accepted[token]) != 1 {
			c.t.Errorf("%s: %s came under %d ids", what, token, len(accepted[token]))
		}
	}
	if in := c.dovecot.Count(c.t, ada, "INBOX"); in != 0 {
		c.t.Errorf("%s: %d mails left in INBOX", what, in)
	}
	if c.left != "" {
		found := map[string]bool{}
		for _, raw := range c.dovecot.Stored(c.t, ada, c.left) {
			found[mailtest.Token(raw)] = true
		}
		for token := range sent {
			if !found[token] {
				c.t.Errorf("%s: %s is not in %s", what, token, c.left)
			}
		}
	}
	if extra := c.receiver.Count() - len(sent); extra > inFlight {
		c.t.Errorf("%s: %d duplicates, at most %d were in flight", what, extra, inFlight)
	}
	c.verify()
}

// TestKilledAtEveryStepNothingIsLost kills at each point the first times it is
// passed; with POSTFERRY_SOAK, at the next forty as well.
func TestKilledAtEveryStepNothingIsLost(t *testing.T) {
	most := 2
	if os.Getenv("POSTFERRY_SOAK") != "" {
		most = 40
	}
	d := mailtest.StartDovecot(t)
	d.AddUser(t, ada, password)
	poor := mailtest.StartDovecot(t, "imap_capability = IMAP4rev1 UIDPLUS") // no MOVE: COPY, STORE, UID EXPUNGE
	poor.AddUser(t, ada, password)
	for _, c := range []*crash{
		{world: &world{dovecot: d}, scheme: "pop3", more: []string{"after: delete"}},
		{world: &world{dovecot: d}, scheme: "imap", more: []string{"after: delete"}, seed: 1e6},
		{world: &world{dovecot: d}, scheme: "imap", more: []string{"after: move:Done"}, left: "Done", seed: 2e6},
		{world: &world{dovecot: poor}, scheme: "imap", more: []string{"after: move:Done"}, left: "Done", seed: 3e6},
	} {
		name := c.scheme + " " + c.more[0]
		if c.dovecot == poor {
			name += " without MOVE"
		}
		t.Run(name, func(t *testing.T) {
			c.binary = mailtest.BuildBinary(t)
			kills := 0
			for _, p := range passed {
				if c.left != "" && p.phase != "session" && p.phase != "settle" {
					continue // as with deletion
				}
				t.Run(p.point, func(t *testing.T) {
					for hit := 1; ; hit++ {
						sent := c.begin(t, 3)
						killed := c.kill(p.point, hit)
						c.end(sent, fmt.Sprintf("hit %d", hit))
						if !killed {
							if hit == 1 {
								t.Error("the point was not passed")
							}
							return
						}
						kills++
						if t.Failed() || hit == most {
							return
						}
					}
				})
			}
			t.Logf("killed %d times", kills)
		})
	}
}
