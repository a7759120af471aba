package admin_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	s, err := admin.Listen(path, admin.Backend{Status: func(context.Context) (admin.Status, error) {
		return admin.Status{Running: true, PID: 7, Started: &started, Store: spool.Status{Store: "sqlite:s.db"}}, nil
	}})
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
	s, err := admin.Listen(path, admin.Backend{Status: func(context.Context) (admin.Status, error) {
		return admin.Status{}, errors.New("disk I/O error")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := admin.AskStatus(t.Context(), path); err == nil || errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("error %v, want the service's own words", err)
	}
}

func TestSocketWithALongName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := admin.SocketPath(filepath.Join(dir, "s.db"))
	s, err := admin.Listen(path, admin.Backend{Status: func(context.Context) (admin.Status, error) { return admin.Status{PID: 9}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := admin.AskStatus(t.Context(), path); err != nil || got.PID != 9 {
		t.Errorf("status %+v, error %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket still there after Close: %v", err)
	}
}

func TestFollowersGetEventsUntilTheServiceStops(t *testing.T) {
	path := admin.SocketPath(filepath.Join(t.TempDir(), "s.db"))
	feed := admin.NewFeed()
	s, err := admin.Listen(path, admin.Backend{Feed: feed})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan admin.Event, 3)
	ended := make(chan error, 1)
	go func() {
		ended <- admin.Follow(t.Context(), path, func(e admin.Event) error { got <- e; return nil })
	}()
	for !feed.Followed() {
		time.Sleep(time.Millisecond)
	}
	feed.Publish(admin.Event{What: "delivered", Item: 4, Sink: "app", Attempt: 1})
	if e := <-got; e.What != "delivered" || e.Item != 4 || e.Sink != "app" || e.Attempt != 1 {
		t.Errorf("event %+v", e)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("following ended with %v", err)
	}
}

func TestSlowFollowerIsToldWhatItMissed(t *testing.T) {
	path := admin.SocketPath(filepath.Join(t.TempDir(), "s.db"))
	feed := admin.NewFeed()
	s, err := admin.Listen(path, admin.Backend{Feed: feed})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const published = 200000 // more than the backlog and the socket's buffers hold
	go2 := make(chan struct{})
	seen, missed := 0, 0
	ended := make(chan error, 1)
	last := errors.New("the last one")
	go func() {
		ended <- admin.Follow(t.Context(), path, func(e admin.Event) error {
			<-go2
			if e.What == "missed" {
				missed += e.Count
			} else {
				seen++
			}
			if e.Item == published {
				return last
			}
			return nil
		})
	}()
	for !feed.Followed() {
		time.Sleep(time.Millisecond)
	}
	for i := range published {
		feed.Publish(admin.Event{What: "routed", Item: int64(i)})
	}
	close(go2)
	for done := false; !done; {
		feed.Publish(admin.Event{What: "routed", Item: published})
		select {
		case err = <-ended:
			done = true
		case <-time.After(time.Millisecond):
		}
	}
	if !errors.Is(err, last) || missed == 0 || seen+missed < published {
		t.Errorf("seen %d, missed %d of %d; %v", seen, missed, published, err)
	}
}

func TestHealth(t *testing.T) {
	var failing atomic.Bool
	h, err := admin.ListenHealth("127.0.0.1:0", func(context.Context) (admin.Status, error) {
		if failing.Load() {
			return admin.Status{}, errors.New("disk I/O error")
		}
		return admin.Status{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	get := func(path string) int {
		resp, err := http.Get("http://" + h.Address() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if live, ready := get("/livez"), get("/readyz"); live != 200 || ready != 200 {
		t.Errorf("healthy: livez %d, readyz %d", live, ready)
	}
	failing.Store(true)
	if live, ready := get("/livez"), get("/readyz"); live != 200 || ready != 503 {
		t.Errorf("without a store: livez %d, readyz %d", live, ready)
	}
	if other := get("/"); other != 404 {
		t.Errorf("another path: %d", other)
	}
	if _, err := admin.ListenHealth(h.Address(), nil); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("a taken address: %v", err)
	}
}
