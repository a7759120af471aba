//go:build !race

// Processes of their own are killed, cut or recorded here: the race detector would
// see nothing of them, and slow what watches them.

package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

const bob = "bob@example.com"

// smallDisk is a disk in memory, of so many octets.
type smallDisk struct {
	t   *testing.T
	dir string
}

func newSmallDisk(t *testing.T, size string) *smallDisk {
	t.Helper()
	d := &smallDisk{t, t.TempDir()}
	if err := syscall.Mount("none", d.dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		t.Fatalf("mount a disk of %s: %v; the test needs root, or CAP_SYS_ADMIN in a container", size, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", d.dir, err)
		}
	})
	return d
}

// remount gives the disk another size, or makes it read-only.
func (d *smallDisk) remount(flags uintptr, options string) {
	d.t.Helper()
	if err := syscall.Mount("none", d.dir, "tmpfs", syscall.MS_REMOUNT|flags, options); err != nil {
		d.t.Fatalf("remount: %v", err)
	}
}

// bulky are mails of 2 MB, each with its token.
func bulky(n int, seed uint64) [][]byte {
	text := bytes.Repeat([]byte(strings.Repeat("lorem ipsum ", 6)+"\r\n"), (2<<20)/74)
	mails := mailtest.Mix(n, seed)
	for i, raw := range mails {
		mails[i] = slices.Concat(raw, text)
	}
	return mails
}

func tokensOf(mails ...[]byte) map[string][32]byte {
	all := map[string][32]byte{}
	for _, raw := range mails {
		all[mailtest.Token(raw)] = [32]byte{}
	}
	return all
}

func TestOnAFullDiskTakingPausesAndAllElseGoesOn(t *testing.T) {
	const large, small = 3, 3 // Mix makes no mail before the fourth larger than 4 KB
	for _, scheme := range []string{"pop3", "imap"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.dovecot.AddUser(t, bob, password)
			disk := newSmallDisk(t, "5m")
			w.write("retain: 24h\nstore: sqlite:" + filepath.Join(disk.dir, "postferry.db") + "\nmailboxes:\n" +
				w.box("bulk", scheme, ada, "after: delete", "insecure: true") + "\n" +
				w.box("other", scheme, bob, "after: delete", "insecure: true") + "\nsinks:\n" + w.sink("app", w.receiver.URL))
			w.once(0)
			bulk := bulky(large, 81)
			w.fill(bulk)
			p := w.start("run")
			p.Stderr.Await(t, "the store is full")

			// Two of the three fit, are delivered and settled; what another mailbox
			// brings is small enough to fit too.
			others := mailtest.Mix(small, 82)
			for _, raw := range others {
				w.dovecot.Append(t, bob, "INBOX", raw)
			}
			w.await("the settlement of the other mailbox", func() bool { return w.dovecot.Count(t, bob, "INBOX") == 0 })
			w.await("the settlement of what fitted", func() bool { return w.dovecot.Count(t, ada, "INBOX") == 1 })
			w.receiver.Wait(t, large-1+small)
			w.conserved(tokensOf(bulk...), 0)
			if got := len(w.receiver.Accepted()); got != large-1+small {
				t.Errorf("%d mails were delivered while the disk was full, want %d", got, large-1+small)
			}
			// What meets it first is a large mail's own file, or the database.
			named := slices.ContainsFunc(lines(p.Stderr.String(), "the store is full"), func(said string) bool {
				return strings.Contains(said, `"mailbox":"bulk"`) &&
					(strings.Contains(said, "no space left on device") || strings.Contains(said, "disk is full"))
			})
			if !named {
				t.Errorf("the mailbox and the full disk are not named: %s", lines(p.Stderr.String(), "the store is full"))
			}
			if !p.Running() {
				t.Fatal("the program ended")
			}

			disk.remount(0, "size=64m")
			freed := time.Now()
			w.await("the rest", func() bool { return w.dovecot.Count(t, ada, "INBOX") == 0 })
			t.Logf("the rest was settled %v after there was room", time.Since(freed).Round(time.Millisecond))
			if err := p.Signal(terminate); err != nil {
				t.Fatal(err)
			}
			if code := p.Wait(t, time.Minute); code != 0 {
				t.Errorf("SIGTERM: exit code %d", code)
			}
			w.exactlyOnce(large + small)
			w.verify()
			soundAt(t, filepath.Join(disk.dir, "postferry.db"))
			w.once(0)
			w.exactlyOnce(large + small)
		})
	}
}

// The kernel refuses to make a disk read-only on which files are open for
// writing, other than after an error of its own: that is played by strace.
func TestADiskThatTurnsReadOnlyStopsTheProgramAndLosesNothing(t *testing.T) {
	for _, scheme := range []string{"pop3", "imap"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			disk := newSmallDisk(t, "64m")
			w.write("store: sqlite:" + filepath.Join(disk.dir, "postferry.db") + "\nmailboxes:\n" +
				w.box("inbox", scheme, ada, "after: delete", "insecure: true") + "\nsinks:\n" + w.sink("app", w.receiver.URL))
			first, then := mailtest.Mix(20, 83), mailtest.Mix(20, 84)
			all := tokensOf(slices.Concat(first, then)...)
			w.fill(first)
			p := w.start("run")
			w.receiver.Wait(t, len(first))

			calls := "pwrite64,ftruncate," + syncs + "," + renames
			strace := mailtest.StartProc(t, mailtest.Command{Path: "strace", Args: []string{
				"-f", "-p", strconv.Itoa(p.PID), "-e", "trace=" + calls, "-e", "inject=" + calls + ":error=EROFS", "-o", os.DevNull}})
			strace.Stderr.Await(t, "attached")
			w.fill(then)
			if code := p.Wait(t, time.Minute); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if said := p.Stderr.String(); !strings.Contains(said, "the store is fenced") {
				t.Errorf("it does not say that the store is fenced: %s", tail(said, 2000))
			}
			w.conserved(all, 0)

			disk.remount(syscall.MS_RDONLY, "")
			if code, _, said := w.run("run", "--once"); code == 0 || !strings.Contains(said, "read-only file system") {
				t.Errorf("exit code %d, and it does not say that the disk is read-only: %s", code, said)
			}
			w.conserved(all, 0)

			disk.remount(0, "")
			w.once(0)
			if got := len(w.tokens()); got != len(all) {
				t.Errorf("%d of %d mails arrived", got, len(all))
			}
			if left := w.dovecot.Count(t, ada, "INBOX"); left != 0 {
				t.Errorf("%d mails left on the server", left)
			}
			w.verify()
			soundAt(t, filepath.Join(disk.dir, "postferry.db"))
		})
	}
}
