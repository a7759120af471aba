package demo

import (
	"net"
	"sync"
	"time"
)

const (
	maxConns = 64               // open at once at each server; one more is closed unanswered
	patience = 30 * time.Second // what a client has for its first octets, TLS handshake included
)

// gate is a listener that knows the connections it gave out. A server ends its
// work on a connection by closing it, so shut can wait for all of that work,
// whatever the server itself waits for.
type gate struct {
	net.Listener
	mu     sync.Mutex
	conns  map[*gateConn]bool
	closed bool
	open   sync.WaitGroup
}

func newGate(l net.Listener) *gate { return &gate{Listener: l, conns: map[*gateConn]bool{}} }

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := g.admit(c); admitted != nil {
			return admitted, nil
		}
		c.Close()
	}
}

func (g *gate) admit(c net.Conn) net.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.conns) >= maxConns {
		return nil
	}
	c.SetDeadline(time.Now().Add(patience))
	admitted := &gateConn{Conn: c, gate: g}
	g.conns[admitted] = true
	g.open.Add(1)
	return admitted
}

// shut ends listening and every connection, and returns when the server has
// let go of them all.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.Listener.Close()
	for c := range g.conns {
		c.Conn.Close() // below gateConn: the server's own Close is what is waited for
	}
	g.mu.Unlock()
	g.open.Wait()
}

// gateConn leaves the gate when the server closes it.
type gateConn struct {
	net.Conn
	gate *gate
	once sync.Once
}

// Close implements net.Conn.
func (c *gateConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.gate.mu.Lock()
		delete(c.gate.conns, c)
		c.gate.mu.Unlock()
		c.gate.open.Done()
	})
	return err
}
