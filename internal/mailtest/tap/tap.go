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

	"github.com/postferry/postferry/internal/mailtest/listen"
)

// Tap is a running proxy.
type Tap struct {
	*listen.Loopback
	Addr string // 127.0.0.1:port

	target string
	hello  func(client net.Conn, hello []byte)

	mu     sync.Mutex
	octets bytes.Buffer
}

// Start passes connections on to target until the test ends.
func Start(t testing.TB, target string) *Tap { return Answer(t, target, nil) }

// Answer is Start with a man in the middle: what begins a client's TLS handshake is
// given to hello, which says to the client what it likes; the server sees no more.
// When hello returns the connection is closed.
func Answer(t testing.TB, target string, hello func(client net.Conn, hello []byte)) *Tap {
	t.Helper()
	w := &Tap{Loopback: listen.Open(t), target: target, hello: hello}
	w.Addr = net.JoinHostPort(w.Host, w.Port)
	w.Serve(w.pass, nil)
	return w
}

// Octets are those that have passed so far, in both directions.
func (w *Tap) Octets() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.octets.Bytes())
}

// pass connects a client to the target until either end is closed.
func (w *Tap) pass(client net.Conn) {
	server, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { w.copy(server, client, w.hello) })
	both.Go(func() { w.copy(client, server, nil) })
	both.Wait()
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
