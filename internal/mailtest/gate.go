package mailtest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Gate is a TCP proxy before a server that can be shut: to let a client meet a
// server that has gone silent, or a connection that breaks.
type Gate struct {
	Addr string // 127.0.0.1:port

	l    net.Listener
	to   string
	work sync.WaitGroup

	mu      sync.Mutex
	change  *sync.Cond
	conns   map[net.Conn]bool // nil once closed
	silent  bool              // what the server says waits
	entered func()            // called once for what comes from a client while it is silent
	cut     bool              // the next thing the server says breaks the connection instead
}

// NewGate passes connections on to a server until the test ends.
func NewGate(t testing.TB, to string) *Gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{Addr: l.Addr().String(), l: l, to: to, conns: map[net.Conn]bool{}}
	g.change = sync.NewCond(&g.mu)
	g.work.Go(g.accept)
	t.Cleanup(g.close)
	return g
}

// Silence lets nothing through that the server says, until Open. entered, which
// may be nil, is called once when a client has said something.
func (g *Gate) Silence(entered func()) { g.set(func() { g.silent, g.entered = true, entered }) }

// Open lets everything through again.
func (g *Gate) Open() { g.set(func() { g.silent, g.entered, g.cut = false, nil, false }) }

// CutAnswer breaks the connection on which the server speaks next, in place of
// what it says.
func (g *Gate) CutAnswer() { g.set(func() { g.cut = true }) }

// Cut breaks every connection.
func (g *Gate) Cut() {
	g.set(func() {
		for c := range g.conns {
			c.Close()
		}
	})
}

// Conns is how many connections clients have open.
func (g *Gate) Conns() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns) / 2
}

func (g *Gate) set(do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do()
	g.change.Broadcast()
}

func (g *Gate) close() {
	g.l.Close()
	g.Cut()
	g.set(func() { g.conns = nil })
	g.work.Wait()
}

func (g *Gate) accept() {
	for {
		client, err := g.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", g.to)
		if err != nil {
			client.Close()
			continue
		}
		g.mu.Lock()
		open := g.conns != nil
		if open {
			g.conns[client], g.conns[server] = true, true
		}
		g.mu.Unlock()
		if !open {
			client.Close()
			server.Close()
			return
		}
		g.work.Go(func() { g.pass(server, client, g.fromClient) })
		g.work.Go(func() { g.pass(client, server, g.fromServer) })
	}
}

// pass copies until either side is closed, and then closes both.
func (g *Gate) pass(to, from net.Conn, may func() bool) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && may() {
			_, err = to.Write(b[:n])
		} else if n > 0 {
			err = io.EOF
		}
		if err != nil {
			break
		}
	}
	to.Close()
	from.Close()
	g.set(func() {
		delete(g.conns, to)
		delete(g.conns, from)
	})
}

func (g *Gate) fromClient() bool {
	g.mu.Lock()
	entered := g.entered
	g.entered = nil
	g.mu.Unlock()
	if entered != nil {
		entered()
	}
	return true
}

// fromServer waits while the gate is silent.
func (g *Gate) fromServer() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.silent && len(g.conns) > 0 {
		g.change.Wait()
	}
	cut := g.cut
	g.cut = false
	return !cut
}
