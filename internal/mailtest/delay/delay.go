// Package delay is a TCP proxy that makes loopback behave like a network: with
// a round trip, a bandwidth, and connections that break after so many octets.
//
//	p := delay.Start(t, d.IMAPAddr(), delay.Options{RoundTrip: 20 * time.Millisecond})
//	… connect to p.Addr …
//
// What is delayed is the octets, not the TCP handshake, which loopback makes at
// once. Octets stay in flight in any number, up to 1024 reads of 16 KiB each
// way, as they would on a long line: a round trip costs only those who wait for
// it.
package delay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

const (
	maxConns    = 256
	dialTimeout = 10 * time.Second
	lingering   = 5 * time.Second // for a client to close a connection that was cut
)

// Options of a Proxy. The zero Options pass everything on at once.
type Options struct {
	RoundTrip time.Duration // half of it in each direction
	Bandwidth int64         // octets per second in each direction of each connection; 0 is unlimited
	// CutDown breaks a connection once so many octets have gone from the server to
	// the client, CutUp once so many have gone to the server; 0 is never. Exactly
	// these octets arrive, followed by the end of the connection; who sent them
	// sees it reset.
	CutDown, CutUp int64
}

// Proxy is a running proxy.
type Proxy struct {
	Addr string // 127.0.0.1:port

	target string
	l      net.Listener
	ctx    context.Context
	end    context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	options  Options
	conns    map[net.Conn]bool // nil once closed
	accepted int
}

// Start passes connections on to target until the test ends.
func Start(t testing.TB, target string, o Options) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, l: l, options: o, conns: map[net.Conn]bool{}}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Change sets the options of connections that come from now on.
func (p *Proxy) Change(o Options) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.options = o
}

// Accepted is how many connections came.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Close breaks all connections and returns when nothing runs any more.
func (p *Proxy) Close() {
	p.end()
	p.l.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		if o, ok := p.admit(c); ok {
			p.work.Go(func() { p.serve(c, o) })
		} else {
			c.Close()
		}
	}
}

// admit notes a connection, so that Close closes it.
func (p *Proxy) admit(c net.Conn) (Options, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil || len(p.conns) >= 2*maxConns {
		return Options{}, false
	}
	p.conns[c] = true
	return p.options, true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// serve passes one connection on, in both directions, until both have ended or
// one has failed.
func (p *Proxy) serve(client net.Conn, o Options) {
	defer p.drop(client)
	p.mu.Lock()
	p.accepted++
	p.mu.Unlock()
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	if _, ok := p.admit(server); !ok {
		server.Close()
		return
	}
	defer p.drop(server)

	pass(p.ctx, client.(*net.TCPConn), server.(*net.TCPConn), o)
}

// pass returns when both directions have ended. An orderly end of one leaves
// the other open, as TCP does; a failure ends both.
func pass(ctx context.Context, client, server *net.TCPConn, o Options) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var both sync.WaitGroup
	carry := func(dst, src *net.TCPConn, cut int64) {
		err := line{o.RoundTrip / 2, o.Bandwidth, cut}.carry(ctx, dst, src)
		if err != nil {
			end()
		}
		if errors.Is(err, errCut) {
			src.SetLinger(0) // its closing is a reset
			src.Close()
		}
		if err == nil || errors.Is(err, errCut) {
			dst.CloseWrite()
		}
	}
	both.Go(func() { carry(client, server, o.CutDown) })
	both.Go(func() { carry(server, client, o.CutUp) })
	both.Wait()
	// Closed with octets unread, a connection is reset and may lose what it was
	// sent last.
	for _, c := range []*net.TCPConn{client, server} {
		c.SetReadDeadline(time.Now().Add(lingering))
		io.Copy(io.Discard, c)
	}
}
