package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// TestFullDiskIsTemporary runs fillDisk with a small disk of its own, in a user
// namespace where it may mount one.
func TestFullDiskIsTemporary(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=full", "POSTFERRY_SPOOL_DIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// fillDisk takes and delivers mail on a disk of 6 MiB that is filled and freed
// again, and reports what is lost or does not resume.
func fillDisk(dir string) error {
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=6m"); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	ballast := filepath.Join(dir, "ballast")
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "spool.db"))
	if err != nil {
		return err
	}
	sp, err := spool.Open(ctx, store, spool.Options{})
	if err != nil {
		return err
	}
	box := spool.BoxKey{Account: "ada@mail.example", Box: "INBOX"}
	octets := func(n int) []byte {
		size := 8 << 10
		if n%4 == 0 {
			size = 300 << 10
		}
		return bytes.Repeat([]byte(fmt.Sprintf("%7d\n", n)), size/8)
	}
	take := func(n int) (spool.ID, error) {
		o, err := sp.Stage(ctx, bytes.NewReader(octets(n)))
		if err != nil {
			return 0, err
		}
		return sp.Take(ctx, spool.Taken{Mailbox: "m", Protocol: "imap", BoxKey: box, UID: fmt.Sprint("1/", n), Octets: o})
	}
	taken := map[int]spool.ID{}
	n := 0
	for round := range 5 {
		if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
			return fmt.Errorf("fill the disk: %w", err)
		}
		refused := 0
		for refused < 3 { // the small mails go on fitting for a while
			n++
			id, err := take(n)
			switch {
			case err == nil:
				taken[n] = id
			case errors.Is(err, spool.ErrFull) && !errors.Is(err, spool.ErrFenced):
				refused++
			default:
				return fmt.Errorf("round %d, mail %d: %w", round, n, err)
			}
		}
		if err := os.Remove(ballast); err != nil {
			return err
		}
		n++
		if taken[n], err = take(n); err != nil {
			return fmt.Errorf("round %d, after room was made: %w", round, err)
		}
		for n, id := range taken {
			if err := compare(ctx, sp, id, octets(n)); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		for range taken { // delivered and erased: the next round has room
			if err := deliver(ctx, sp); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		clear(taken)
	}
	return sp.Close()
}

func compare(ctx context.Context, sp *spool.Spool, id spool.ID, want []byte) error {
	o, err := sp.Octets(ctx, id)
	if err != nil {
		return err
	}
	defer o.Close()
	got := make([]byte, o.Size())
	if _, err := o.ReadAt(got, 0); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("mail %d has other octets", id)
	}
	return nil
}

func deliver(ctx context.Context, sp *spool.Spool) error {
	i, err := sp.Next(ctx)
	if err != nil {
		return err
	}
	if err := sp.Route(ctx, i.ID, spool.Routing{To: []spool.To{{Sink: "a"}}}); err != nil {
		return err
	}
	c, err := sp.Due(ctx, "a")
	if err != nil {
		return err
	}
	return sp.Record(ctx, c.Item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered})
}
