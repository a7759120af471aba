// Package listen keeps the connections of the servers that tests make: on a port of
// loopback, each in a goroutine of its own, and all closed when the test ends.
//
//	s.Loopback = listen.Open(t)
//	s.Loopback.Serve(s.serve, nil)
package listen

import (
	"net"
	"sync"
	"testing"
)

// Loopback is a port of loopback on which a server listens.
type Loopback struct {
	Host string // 127.0.0.1
	Port string

	l    net.Listener
	work sync.WaitGroup

	mu     sync.Mutex
	opened int
	conns  map[net.Conn]bool // nil once closed
}

// Open listens until the test ends. Clients wait until Serve is called.
func Open(t testing.TB) *Loopback {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Loopback{l: l, conns: map[net.Conn]bool{}}
	p.Host, p.Port, _ = net.SplitHostPort(l.Addr().String())
	t.Cleanup(p.close)
	return p
}

// Serve has serve called with each client, and closes the connection behind it.
// changed, which may be nil, is called when one has come and when one has gone.
func (p *Loopback) Serve(serve func(net.Conn), changed func()) {
	if changed == nil {
		changed = func() {}
	}
	p.work.Go(func() {
		for {
			c, err := p.l.Accept()
			if err != nil {
				return
			}
			if !p.admit(c) {
				c.Close()
				continue
			}
			p.work.Go(func() {
				changed()
				serve(c)
				c.Close()
				p.drop(c)
				changed()
			})
		}
	})
}

func (p *Loopback) admit(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	p.opened++
	p.conns[c] = true
	return true
}

func (p *Loopback) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// Sessions counts the connections so far.
func (p *Loopback) Sessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Open counts the connections that are open.
func (p *Loopback) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Hang closes every connection that is open, as a server does that restarts.
func (p *Loopback) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *Loopback) close() {
	p.l.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.work.Wait()
}
