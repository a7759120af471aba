package admin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Health answers probes on a TCP address: /livez while the process works, and
// /readyz while its store can be used.
type Health struct {
	http *http.Server
	addr string
	done chan struct{}
}

// Route is something else that is served at the address, under a pattern of
// http.ServeMux.
type Route struct {
	Pattern string
	Handler http.Handler
}

// ListenHealth opens the address, host:port, and serves until Close. status is
// asked for each /readyz.
func ListenHealth(address string, status func(context.Context) (Status, error), more ...Route) (*Health, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("opening the address of health checks: %w; set listen to another host:port, or to \"\" for none", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if _, err := status(ctx); err != nil {
			http.Error(w, "the store cannot be used", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	for _, r := range more {
		mux.Handle(r.Pattern, r.Handler)
	}
	h := &Health{addr: ln.Addr().String(), done: make(chan struct{}), http: &http.Server{
		Handler:           http.MaxBytesHandler(mux, 0),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}}
	go func() {
		defer close(h.done)
		_ = h.http.Serve(ln)
	}()
	return h, nil
}

// Address is where it listens, with the port that a :0 came to.
func (h *Health) Address() string { return h.addr }

// Close stops answering; requests under way are cut.
func (h *Health) Close() error {
	err := h.http.Close()
	<-h.done
	return err
}
