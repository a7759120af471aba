//go:build !race

// Processes of their own are killed, cut or recorded here: the race detector would
// see nothing of them, and slow what watches them.

package main_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// injection makes calls of the kernel fail, by strace.
type injection struct {
	name  string
	calls string // which, as strace names them
	file  string // on which of the store's files; "" for any
	when  int    // which of them, in each thread, from 1
	fault string // "error=EIO" and the like
	fresh bool   // the store is made in the same run
	on    bool   // all calls after it fail too
}

// inject runs the program with failing calls and returns its exit code, -1 where
// it was killed, what it said, and the calls that failed, as strace shows them.
func (c *crash) inject(i injection) (code int, said string, hits []string) {
	c.t.Helper()
	log := filepath.Join(c.t.TempDir(), "strace")
	from := ""
	if i.on {
		from = "+"
	}
	args := []string{"-f", "-qq", "-y", "-e", "trace=" + i.calls, "-e", "signal=none",
		"-e", fmt.Sprintf("inject=%s:%s:when=%d%s", i.calls, i.fault, i.when, from), "-o", log}
	if i.file != "" {
		args = append(args, "-P", filepath.Join(c.dir, i.file))
	}
	args = append(args, c.binary, "run", "--once", "--wait", "10s")
	p := mailtest.StartProc(c.t, mailtest.Command{Path: "strace", Args: args, Dir: c.dir})
	code = p.Wait(c.t, time.Minute)
	text, err := os.ReadFile(log)
	if err != nil {
		c.t.Fatalf("strace (Debian package strace) left no log: %v: %s", err, p.Stderr.String())
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "(INJECTED)") {
			hits = append(hits, line)
		}
	}
	if strings.HasPrefix(i.fault, "signal=") && code == -1 {
		hits = append(hits, "killed")
	}
	return code, p.Stderr.String(), hits
}

// soundAt fails unless SQLite finds nothing wrong with the store.
func soundAt(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("PRAGMA integrity_check: %s, %v", verdict, err)
	}
}

const (
	syncs   = "fsync,fdatasync"
	renames = "rename,renameat,renameat2"
	onLog   = "postferry.db-wal"
	onStore = "postferry.db"
	onLarge = "postferry.db.octets"

	anyCode = -2
)

func TestADiskThatFailsLosesNothing(t *testing.T) {
	for _, c := range injected(t) {
		t.Run(c.scheme, func(t *testing.T) {
			for _, i := range []struct {
				injection
				code int
				says string
				left int // mails on the server after; -1: any number
			}{
				// A failed sync or write: the disk is not to be believed any more.
				{injection{"sync of the log while the store is opened", syncs, onLog, 1, "error=EIO", false, false}, 1, "the store is fenced", 3},
				{injection{"sync of the log", syncs, onLog, 3, "error=EIO", false, false}, 1, "the store is fenced", -1},
				{injection{"sync of the log at the first start", syncs, onLog, 1, "error=EIO", true, false}, 1, "the store is fenced", 3},
				{injection{"sync of the folder of large mails", syncs, onLarge, 1, "error=EIO", false, false}, 1, "the store is fenced", -1},
				{injection{"sync of the store while it is closed", syncs, onStore, 1, "error=EIO", false, false}, 1, "the store is fenced", 0},
				{injection{"write to the log while the store is opened", "pwrite64", onLog, 1, "error=EIO", false, false}, 1, "the store is fenced", 3},
				{injection{"write to the log", "pwrite64", onLog, 6, "error=EIO", false, false}, 1, "the store is fenced", -1},
				{injection{"write to the store while it is closed", "pwrite64", onStore, 2, "error=EIO", false, false}, 1, "the store is fenced", 0},
				{injection{"length of the shared memory", "ftruncate", onStore + "-shm", 1, "error=EIO", false, false}, 1, "the store is fenced", 3},
				// One file that cannot get its name: the others go on.
				{injection{"name of a large mail", renames, "", 1, "error=EIO", false, true}, 75, "input/output error", 1},
				// No room: temporary, where the store is open.
				{injection{"no room in the log while the store is opened", "pwrite64", onLog, 1, "error=ENOSPC", false, false}, 1, "the store is full", 3},
				{injection{"no room in the log", "pwrite64", onLog, 8, "error=ENOSPC", false, false}, anyCode, "the store is full", -1},
				{injection{"no room for what a sync finds", syncs, onLog, 3, "error=ENOSPC", false, false}, 1, "the store is fenced", -1},
				{injection{"no room in the store while it is closed", "pwrite64", onStore, 1, "error=ENOSPC", false, false}, 0, "", 0},
				{injection{"no room for a name", renames, "", 1, "error=ENOSPC", false, true}, 75, "the store is full", 1},
				// The process ends in the middle of it.
				{injection{"killed in a sync of the log", syncs, onLog, 4, "signal=KILL", false, false}, -1, "", -1},
				{injection{"killed in a sync of the store", syncs, onStore, 1, "signal=KILL", false, false}, -1, "", 0},
				{injection{"killed in a write to the log", "pwrite64", onLog, 7, "signal=KILL", false, false}, -1, "", -1},
				{injection{"killed in a write to the store", "pwrite64", onStore, 3, "signal=KILL", false, false}, -1, "", 0},
				{injection{"killed in giving a name", renames, "", 1, "signal=KILL", false, false}, -1, "", -1},
				{injection{"killed in changing a length", "ftruncate", "", 1, "signal=KILL", false, false}, -1, "", 3},
			} {
				t.Run(i.name, func(t *testing.T) {
					c.t = t
					// Which thread makes a call, and how many, differs from run to run.
					for ; i.when > 0; i.when-- {
						r := c.failing(i.injection)
						if len(r.hits) == 0 {
							continue
						}
						if i.code != anyCode && r.code != i.code {
							t.Errorf("exit code %d, want %d", r.code, i.code)
						}
						// Where a full disk had room at once, nothing is to be said.
						if r.code != 0 && !strings.Contains(r.said, i.says) {
							t.Errorf("it does not say %q: %s", i.says, tail(r.said, 2000))
						}
						if i.left >= 0 && r.left != i.left {
							t.Errorf("%d mails on the server, want %d", r.left, i.left)
						}
						return
					}
					t.Error("no call failed")
				})
			}
		})
	}
}

// Every call of every thread, one run each, in the long run; here the first two.
func TestWhicheverCallTheDiskFailsAtNothingIsLost(t *testing.T) {
	const bound = 500
	for _, c := range injected(t) {
		t.Run(c.scheme, func(t *testing.T) {
			runs, failed := 0, 0
			for _, calls := range []string{syncs, "pwrite64", "write", "ftruncate", renames} {
				for _, fault := range []string{"error=EIO", "error=ENOSPC", "signal=KILL"} {
					t.Run(calls+" "+fault, func(t *testing.T) {
						c.t = t
						for n := 1; n < bound && (soaking() || n <= 2); n++ {
							r := c.failing(injection{calls: calls, when: n, fault: fault, fresh: soaking()})
							runs++
							failed += len(r.hits)
							fenced := calls == syncs && fault == "error=EIO" && slices.ContainsFunc(r.hits, func(hit string) bool { return !strings.Contains(hit, c.dir+">") })
							if fenced && (r.code != 1 || !strings.Contains(r.said, "the store is fenced")) {
								t.Errorf("sync %d failed: exit code %d: %s", n, r.code, tail(r.said, 2000))
							}
							if len(r.hits) == 0 || t.Failed() {
								return
							}
						}
					})
				}
			}
			t.Logf("%d runs, %d calls failed", runs, failed)
		})
	}
}

// injected are the worlds in which calls fail: plain text, so that the session is
// all there is.
func injected(t *testing.T) []*crash {
	t.Helper()
	d := mailtest.StartDovecot(t)
	d.AddUser(t, ada, password)
	return []*crash{
		{world: &world{dovecot: d, binary: mailtest.BuildBinary(t)}, scheme: "pop3", more: []string{"after: delete"}, seed: 5e6},
		{world: &world{dovecot: d, binary: mailtest.BuildBinary(t)}, scheme: "imap", more: []string{"after: delete"}, seed: 6e6},
	}
}

// failed is what a run with failing calls came to.
type failed struct {
	code int
	said string
	hits []string
	left int // mails on the server
}

// failing ferries three mails, one of them large, on a disk that fails, and then
// on one that does not, and holds both against the oracle.
func (c *crash) failing(i injection) (r failed) {
	t := c.t.(*testing.T)
	t.Helper()
	sent := c.begin(t, 0)
	c.world.t = t
	// Where the write that failed was to the receiver, the next run is to try again.
	c.write("mailboxes:\n" + c.box("inbox", c.scheme, ada, append(c.more, "insecure: true")...) + "\nsinks:\n" +
		c.sink("app", c.receiver.URL, "retry: {delays: [1s], every: 1s, for: 1h}"))
	if !i.fresh {
		c.once(0)
	}
	mails := mailtest.Mix(20, c.seed)[17:]
	for _, raw := range mails {
		sent[mailtest.Token(raw)] = [32]byte{}
	}
	c.fill(mails)
	r.code, r.said, r.hits = c.inject(i)
	r.left = c.dovecot.Count(t, ada, "INBOX")
	c.end(sent, fmt.Sprintf("%s %s of %s, call %d", i.fault, i.calls, i.file, i.when))
	soundAt(t, filepath.Join(c.dir, "postferry.db"))
	return r
}
