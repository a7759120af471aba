// Package tap is a TCP proxy that keeps every octet that passes, as whoever sits on
// the way to a server can, and may answer in the server's place once the client
// begins TLS:
//
//	w := tap.Start(t, addr)
//	… connect to w.Addr …
//	if bytes.Contains(w.Octets(), password) { … }
package tap

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Tap is a running proxy.
type Tap struct {
	Addr string // 127.0.0.1:port
	Host string
	Port string

	target string
	hello  func(client net.Conn, hello []byte)
	l      net.Listener
	work   sync.WaitGroup

	mu     sync.Mutex
	octets bytes.Buffer
	conns  map[net.Conn]bool // nil once closed
}

// Start passes connections on to target until the test ends.
func Start(t testing.TB, target string) *Tap { return Answer(t, target, nil) }

// Answer is Start with a man in the middle: what begins a client's TLS handshake is
// given to hello, which says to the client what it likes; the server sees no more.
// When hello returns the connection is closed.
func Answer(t testing.TB, target string, hello func(client net.Conn, hello []byte)) *Tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Tap{Addr: l.Addr().String(), target: target, hello: hello, l: l, conns: map[net.Conn]bool{}}
	w.Host, w.Port, _ = net.SplitHostPort(w.Addr)
	w.work.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

// Octets are those that have passed so far, in both directions.
func (w *Tap) Octets() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.octets.Bytes())
}

func (w *Tap) close() {
	w.l.Close()
	w.mu.Lock()
	for c := range w.conns {
		c.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.work.Wait()
}

// keep has the connection closed at the end; false when that has come.
func (w *Tap) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		c.Close()
		return false
	}
	w.conns[c] = true
	return true
}

func (w *Tap) accept() {
	for {
		client, err := w.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.target)
		if err != nil {
			client.Close()
			continue
		}
		if !w.keep(client) || !w.keep(server) {
			client.Close()
			return
		}
		var both sync.WaitGroup
		both.Go(func() { w.copy(server, client, w.hello) })
		both.Go(func() { w.copy(client, server, nil) })
		w.work.Go(func() {
			both.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.conns, client)
			delete(w.conns, server)
		})
	}
}

// copy passes octets on until either end is closed, and closes both.
func (w *Tap) copy(to, from net.Conn, hello func(net.Conn, []byte)) {
	defer to.Close()
	defer from.Close()
	const handshake = 0x16 // RFC 8446 section 5.1
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		w.octets.Write(b[:n])
		w.mu.Unlock()
		if n > 0 && hello != nil && b[0] == handshake {
			hello(from, b[:n])
			// What is not read yet would turn the end of the connection into a reset.
			if tcp, ok := from.(*net.TCPConn); ok {
				tcp.CloseWrite()
			}
			from.SetReadDeadline(time.Now().Add(lingering))
			rest, _ := io.ReadAll(from)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.octets.Write(rest)
			return
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// lingering is how long a client may take to see that its connection has ended.
const lingering = 5 * time.Second
