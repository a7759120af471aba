package pop3

import (
	"context"
	"io"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

// watched notes for each command whether it was written from within go-pop3.
type watched struct {
	connection
	mu      sync.Mutex
	library map[string]bool
}

// Write implements net.Conn.
func (w *watched) Write(p []byte) (int, error) {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	library := false
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		library = library || strings.HasPrefix(f.Function, "github.com/knadh/go-pop3.")
	}
	w.mu.Lock()
	for line := range strings.Lines(string(p)) {
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		w.library[verb] = library
	}
	w.mu.Unlock()
	return w.connection.Write(p)
}

// TestGoPOP3IssuesTheCommandsOfTheSession and this package those that retrieve.
func TestGoPOP3IssuesTheCommandsOfTheSession(t *testing.T) {
	server := pop3d.Start(t, nil, []byte("Subject: a\r\n\r\na\r\n"), []byte("Subject: b\r\n\r\nb\r\n"))
	s, err := New(Options{
		Server:   dial.Server{Scheme: "pop3", Host: server.Host, Port: server.Port, Mode: dial.Plain},
		Username: "ada", Password: secret.New("correct horse"),
	})
	if err != nil {
		t.Fatal(err)
	}
	library := map[string]bool{}
	connect := s.connect
	s.connect = func(ctx context.Context) (connection, error) {
		c, err := connect(ctx)
		return &watched{connection: c, library: library}, err
	}
	x, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	l, err := x.List(t.Context(), fetcher.Maildrop, "")
	if err != nil {
		t.Fatal(err)
	}
	err = x.Retrieve(t.Context(), l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = x.Settle(t.Context(), []spool.Settlement{{ID: 1, UID: l.Refs[0].UID, BoxKey: spool.BoxKey{Box: fetcher.Maildrop}, Action: spool.Action{Verb: spool.Delete}}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"USER": true, "PASS": true, "CAPA": true, "STAT": true, "LIST": true, "UIDL": true, "DELE": true, "QUIT": true,
		"RETR": false,
	}
	if !maps.Equal(library, want) {
		t.Errorf("commands, and whether go-pop3 issued them: %v, want %v", library, want)
	}
}
