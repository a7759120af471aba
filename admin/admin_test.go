package admin_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postferry/postferry/admin"
	"github.com/postferry/postferry/spool"
)

func TestControlSocket(t *testing.T) {
	path := admin.SocketPath(filepath.Join(t.TempDir(), "s.db"))

	if _, err := admin.AskStatus(t.Context(), path); !errors.Is(err, admin.ErrNotRunning) {
		t.Fatalf("without a service: %v, want ErrNotRunning", err)
	}

	// What a killed service leaves behind: a socket nobody answers.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	if _, err := admin.AskStatus(t.Context(), path); !errors.Is(err, admin.ErrNotRunning) {
		t.Fatalf("on a stale socket: %v, want ErrNotRunning", err)
	}

	started := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s, err := admin.Listen(path, func(context.Context) (admin.Status, error) {
		return admin.Status{Running: true, PID: 7, Started: &started, Store: spool.Status{Store: "sqlite:s.db"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, want 0600", info.Mode().Perm())
	}
	got, err := admin.AskStatus(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Running || got.PID != 7 || got.Store.Store != "sqlite:s.db" || !got.Started.Equal(started) {
		t.Errorf("status %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket still there after Close: %v", err)
	}
}

func TestStatusFailurePassesOn(t *testing.T) {
	path := admin.SocketPath(filepath.Join(t.TempDir(), "s.db"))
	s, err := admin.Listen(path, func(context.Context) (admin.Status, error) {
		return admin.Status{}, errors.New("disk I/O error")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := admin.AskStatus(t.Context(), path); err == nil || errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("error %v, want the service's own words", err)
	}
}
