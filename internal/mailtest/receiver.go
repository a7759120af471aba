package mailtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/localca"
)

// Receiver is a webhook receiver that records every request as it comes,
// before anything could take two for one, and answers as it is told.
type Receiver struct {
	URL string // http://127.0.0.1:port, or https://

	keep   keepWhat
	ca     *localca.CA
	server *httptest.Server

	mu       sync.Mutex
	news     chan struct{} // closed and renewed with every request
	answer   func(*Request) Answer
	requests []*Request
	octets   int64
	ids      map[string]int // requests by webhook-id
	accepted map[string]int // of these, answered with 2xx
}

// Request is one request as it came.
type Request struct {
	N      int    // its number at this receiver, from 1
	ID     string // its webhook-id
	Try    int    // its number among those with the same webhook-id, from 1
	At     time.Time
	Method string
	URL    string // path and query
	Header http.Header
	Body   []byte // nil with HashBodies and CountOnly
	SHA256 [sha256.Size]byte
	Size   int64
	Err    error // why the body ended early
	Status int   // what was answered; 0 while the answer is being decided

	ctx context.Context
}

// Context ends when the client has gone: an answer that is to hang waits for it.
func (r *Request) Context() context.Context { return r.ctx }

// Answer is what a request is answered with. A Status of 0 closes the
// connection without an answer.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

type keepWhat int

const (
	keepBodies keepWhat = iota
	keepHashes
	keepCounts
)

// ReceiverOption changes a new Receiver.
type ReceiverOption func(*Receiver)

// HashBodies keeps the sha256 of bodies, not the bodies.
func HashBodies(r *Receiver) { r.keep = keepHashes }

// CountOnly keeps no requests at all, for benchmarks: Requests is empty, while
// Count, Octets, IDs and Accepted are kept.
func CountOnly(r *Receiver) { r.keep = keepCounts }

// WithTLS makes the receiver speak HTTPS under the certificate of ca.
func WithTLS(ca *localca.CA) ReceiverOption { return func(r *Receiver) { r.ca = ca } }

// NewReceiver starts a receiver that answers 200 until told otherwise, and
// stops it when the test ends.
func NewReceiver(t testing.TB, options ...ReceiverOption) *Receiver {
	t.Helper()
	r := &Receiver{
		news:     make(chan struct{}),
		answer:   func(*Request) Answer { return Answer{Status: http.StatusOK} },
		ids:      map[string]int{},
		accepted: map[string]int{},
	}
	for _, o := range options {
		o(r)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.start(ln)
	t.Cleanup(func() { r.stop() })
	return r
}

// Restart breaks every connection and comes back at the same address, with what
// it has recorded.
func (r *Receiver) Restart(t testing.TB) {
	t.Helper()
	r.stop()
	ln, err := net.Listen("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.start(ln)
}

func (r *Receiver) start(ln net.Listener) {
	r.server = &httptest.Server{Listener: ln, Config: &http.Server{
		Handler:  http.HandlerFunc(r.serve),
		ErrorLog: log.New(io.Discard, "", 0),
	}}
	if r.ca != nil {
		r.server.TLS = r.ca.Server()
		r.server.StartTLS()
	} else {
		r.server.Start()
	}
	r.URL = r.server.URL
}

func (r *Receiver) stop() {
	r.server.CloseClientConnections()
	r.server.Close()
}

// Answer sets how requests are answered from now on; f may be called by several
// goroutines at once.
func (r *Receiver) Answer(f func(*Request) Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// Statuses answers the tries of every mail with these statuses in turn, and
// with the last one from then on.
func (r *Receiver) Statuses(statuses ...int) {
	r.Answer(func(q *Request) Answer {
		return Answer{Status: statuses[min(q.Try, len(statuses))-1]}
	})
}

func (r *Receiver) serve(w http.ResponseWriter, q *http.Request) {
	req := &Request{ID: q.Header.Get("webhook-id"), At: time.Now(), ctx: q.Context()}
	r.read(req, q)

	r.mu.Lock()
	r.octets += req.Size
	r.ids[req.ID]++
	req.Try = r.ids[req.ID]
	if r.keep == keepCounts {
		req.N = len(r.requests) + 1
		r.requests = append(r.requests, nil)
	} else {
		r.requests = append(r.requests, req)
		req.N = len(r.requests)
	}
	answer := r.answer
	r.tell()
	r.mu.Unlock()

	a := answer(req)

	r.mu.Lock()
	req.Status = a.Status
	if a.Status/100 == 2 {
		r.accepted[req.ID]++
	}
	r.tell()
	r.mu.Unlock()

	if a.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(a.Status)
	io.WriteString(w, a.Body)
}

// read takes the body in, keeping what is to be kept.
func (r *Receiver) read(req *Request, q *http.Request) {
	if r.keep == keepCounts {
		req.Size, req.Err = io.Copy(io.Discard, q.Body)
		return
	}
	req.Method, req.URL, req.Header = q.Method, q.URL.RequestURI(), q.Header
	h := sha256.New()
	if r.keep == keepHashes {
		req.Size, req.Err = io.Copy(h, q.Body)
	} else {
		body := new(bytes.Buffer)
		req.Size, req.Err = io.Copy(io.MultiWriter(h, body), q.Body)
		req.Body = body.Bytes()
	}
	h.Sum(req.SHA256[:0])
}

// tell wakes those who wait; r.mu is held.
func (r *Receiver) tell() {
	close(r.news)
	r.news = make(chan struct{})
}

// Requests are copies of all that came, in order of coming.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Request
	for _, q := range r.requests {
		if q != nil {
			all = append(all, *q)
		}
	}
	return all
}

// Bodies are the bodies of the requests that were answered with 2xx.
func (r *Receiver) Bodies() [][]byte {
	var bodies [][]byte
	for _, q := range r.Requests() {
		if q.Status/100 == 2 {
			bodies = append(bodies, q.Body)
		}
	}
	return bodies
}

// Count is how many requests came, whatever was answered.
func (r *Receiver) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

// Octets is the size of all bodies that came.
func (r *Receiver) Octets() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.octets
}

// Accepted counts the requests answered with 2xx, by webhook-id: one that is
// told twice was delivered twice.
func (r *Receiver) Accepted() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]int, len(r.accepted))
	for id, n := range r.accepted {
		all[id] = n
	}
	return all
}

// IDs are the webhook-ids seen, sorted.
func (r *Receiver) IDs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]string, 0, len(r.ids))
	for id := range r.ids {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Wait returns once n different webhook-ids were accepted, or fails the test
// after a minute.
func (r *Receiver) Wait(t testing.TB, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.WaitAccepted(ctx, n); err != nil {
		t.Fatal(err)
	}
}

// WaitAccepted returns nil once n different webhook-ids were accepted.
func (r *Receiver) WaitAccepted(ctx context.Context, n int) error {
	return r.waitFor(ctx, func() int { return len(r.accepted) }, n, "mails accepted")
}

// WaitRequests returns nil once n requests came, whatever was answered.
func (r *Receiver) WaitRequests(ctx context.Context, n int) error {
	return r.waitFor(ctx, func() int { return len(r.requests) }, n, "requests received")
}

func (r *Receiver) waitFor(ctx context.Context, count func() int, n int, what string) error {
	for {
		r.mu.Lock()
		have, news := count(), r.news
		r.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%d of %d %s", have, n, what), ctx.Err())
		}
	}
}
