package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Backend is what the socket answers from.
type Backend struct {
	Status   func(context.Context) (Status, error)
	Feed     *Feed    // nil: no live events
	Operator Operator // nil: nothing can be done to mail
}

// Server answers on the control socket.
type Server struct {
	http *http.Server
	path string
	stop context.CancelFunc
	done chan struct{}
}

// Listen opens the socket with mode 0600 and serves until Close. A socket left
// behind by a killed service is replaced: the caller holds the store's lock, so
// nobody else can be listening.
func Listen(path string, b Backend) (*Server, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replacing the control socket: %w", err)
	}
	ln, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("securing the control socket: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{path: path, stop: stop, done: make(chan struct{}), http: &http.Server{
		Handler:           bounded(b.routes()),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
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
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	if gone := os.Remove(s.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

func (b Backend) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s, err := b.Status(r.Context())
		answer(w, s, err)
	})
	mux.HandleFunc("GET /v1/events", b.events)
	if b.Operator != nil {
		operate(mux, b.Operator)
	}
	return mux
}

// answerTime bounds how long an answer may take to be read.
const answerTime = time.Minute

// answer writes v as JSON, or the error.
func answer(w http.ResponseWriter, v any, err error) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// maxSocketPath is what the name of a socket may have (unix(7): sun_path).
const maxSocketPath = 107

// shortSocket gives a name for the socket that is short enough: where its own is
// not, one through the folder's descriptor (Linux). The caller ends it with
// release once the name has been used.
func shortSocket(path string) (name string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}

func listenUnix(path string) (net.Listener, error) {
	name, release, err := shortSocket(path)
	if err != nil {
		return nil, err
	}
	defer release()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // Close removes it by its own name
	return ln, nil
}
