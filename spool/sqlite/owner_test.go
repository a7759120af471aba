package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// ownUntilToldToEnd opens the store, says so, and waits for the end of its
// standard input.
func ownUntilToldToEnd(dir string) error {
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "spool.db"))
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = os.Stdin.Read(make([]byte, 1)) // its end is an error
	return s.Close()
}

func TestAnotherProcessIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spool.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=owner", "POSTFERRY_SPOOL_DIR="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("a second owner: %v", err)
	}
	r, err := sqlite.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Errorf("a reader beside the owner: %v", err)
	} else if _, err := r.Status(t.Context()); err != nil {
		t.Error(err)
	} else if err := r.Close(); err != nil {
		t.Error(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("after the owner ended: %v", err)
	}
	s.Close()
}
