// Package admin is how the other commands talk to a running service: a control
// socket beside the store, readable by its owner alone, that answers HTTP with
// JSON. While the service runs it owns the store, so `status` and its kin ask
// here; only when nobody runs do they open the store themselves.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/postferry/postferry/spool"
)

// maxAnswer bounds what a command reads from the socket, in octets.
const maxAnswer = 16 << 20

// ErrNotRunning means that no service answers on the socket.
var ErrNotRunning = errors.New("no postferry is running on this store")

// Status is the answer of `postferry status -o json`.
type Status struct {
	Running bool         `json:"running"`
	Version string       `json:"version"`
	PID     int          `json:"pid"`     // 0 when not running
	Started *time.Time   `json:"started"` // nil when not running
	Store   spool.Status `json:"spool"`
}

// SocketPath is where the control socket of a store stands.
func SocketPath(store string) string { return store + ".sock" }

// Server answers on the control socket.
type Server struct {
	http *http.Server
	ln   net.Listener
	done chan struct{}
}

// Listen opens the socket with mode 0600 and serves until Close. A socket left
// behind by a killed service is replaced: the caller holds the store's lock, so
// nobody else can be listening.
func Listen(path string, status func(context.Context) (Status, error)) (*Server, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replacing the control socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("securing the control socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s, err := status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s)
	})
	s := &Server{ln: ln, done: make(chan struct{}), http: &http.Server{
		Handler:           http.MaxBytesHandler(mux, 1<<20),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
	}}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(ln)
	}()
	return s, nil
}

// Close stops answering and removes the socket. Requests under way have ended
// or been cut when it returns.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// AskStatus asks the service behind the socket; ErrNotRunning when there is none.
func AskStatus(ctx context.Context, path string) (Status, error) {
	var s Status
	err := get(ctx, path, "/v1/status", &s)
	return s, err
}

func get(ctx context.Context, path, route string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://postferry"+route, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("asking the running service: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the service's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the running service answers %s: %s", resp.Status, body)
	}
	return json.Unmarshal(body, into)
}
