package dial

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postferry/postferry/internal/failpoint"
)

// closing bounds how long Close may spend on TLS's close_notify.
const closing = 100 * time.Millisecond

// Conn is a connection to a mail server, in clear text or TLS. It implements
// net.Conn. Reads and writes may run concurrently with each other and with
// Close and the setters; Upgrade must be alone.
//
// Every read and write on the wire has the rolling deadline of Limits, below TLS,
// so the octets of handshakes and key updates are bounded as well. SetDeadline
// and its two sisters set an upper bound in addition: whichever comes first ends
// the call. A failure to read is sticky for both directions, a failure to write
// for writes.
type Conn struct {
	wire    *wire
	server  Server
	timeout time.Duration // of a handshake
	tls     atomic.Pointer[tls.Conn]
	config  *tls.Config // of tls
	record  *Record     // nil: nothing is noted
	once    sync.Once
	closing atomic.Bool // Close has been called
	closed  error
}

var _ net.Conn = (*Conn)(nil)

func newConn(raw net.Conn, server Server, timeout time.Duration, limits Limits) *Conn {
	return &Conn{wire: newWire(raw, limits), server: server, timeout: timeout}
}

// Upgrade makes the TLS handshake in band. It is called after the server agreed
// to STARTTLS or STLS, with whatever the caller has read and not consumed: any
// such octet was sent in clear text by someone who wants it taken for the
// protected session (response injection), so it is refused. On an error the
// connection is closed. Errors are *Error of stage "tls".
func (c *Conn) Upgrade(ctx context.Context, config *tls.Config, buffered ...byte) error {
	if c.tls.Load() != nil {
		return &Error{Stage: "tls", Err: fmt.Errorf("the connection to %s is TLS already", c.server.Address())}
	}
	if len(buffered) > 0 {
		c.Close()
		return &Error{
			Stage: "tls",
			Err:   fmt.Errorf("%s sent %d octets in clear text after it agreed to TLS", c.server.Address(), len(buffered)),
			Hint:  "somebody on the way may be injecting commands; use " + c.server.Scheme + "s:// if the server offers it",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.handshake(ctx, config)
}

func (c *Conn) handshake(ctx context.Context, config *tls.Config) error {
	c.record.Begin(StepTLS)
	client := tls.Client(c.wire, config)
	if err := client.HandshakeContext(ctx); err != nil {
		c.wire.Close()
		return handshakeError(c.server, config, err)
	}
	c.config = config
	c.tls.Store(client)
	c.record.secured(client.ConnectionState())
	return nil
}

// Read implements net.Conn. With TLS 1.3 a server refuses a client certificate
// only after the handshake; that alert is explained like those within it.
func (c *Conn) Read(p []byte) (int, error) {
	var r io.Reader = c.wire
	if t := c.tls.Load(); t != nil {
		r = t
	}
	n, err := r.Read(p)
	if err != nil {
		err = c.explainRead(err)
	}
	failpoint.Hit("wire.received")
	c.record.received(p[:n])
	return n, err
}

//go:noinline
func (c *Conn) explainRead(err error) error {
	switch {
	case c.closing.Load(): // a server that answers close_notify at once would make it io.EOF
		return net.ErrClosed
	case isAlert(err):
		return handshakeError(c.server, c.config, err)
	}
	return err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	c.record.sent(p)
	failpoint.Hit("wire.send.before")
	defer failpoint.Hit("wire.send.after")
	if t := c.tls.Load(); t != nil {
		return t.Write(p)
	}
	return c.wire.Write(p)
}

// Close closes the connection and ends blocked calls. TLS's close_notify is
// tried first, for 100 ms at most. It may be called more than once.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.closing.Store(true)
		if t := c.tls.Load(); t != nil {
			force := time.AfterFunc(closing, func() { c.wire.Close() })
			defer force.Stop()
			t.Close() // its errors tell of the notify, which does not matter
		}
		c.closed = c.wire.Close()
	})
	return c.closed
}

// SetBudget allows n further octets to be read, counted on the wire; 0 lifts the
// limit.
func (c *Conn) SetBudget(n int64) { c.wire.setBudget(n) }

// SetReadTimeout changes the rolling deadline of reads, for a blocked read too;
// 0 means that silence is not limited (as in IMAP's IDLE).
func (c *Conn) SetReadTimeout(d time.Duration) { c.wire.setReadTimeout(d) }

// Octets tells how many octets were read from and written to the wire.
func (c *Conn) Octets() (in, out int64) { return c.wire.in.Load(), c.wire.out.Load() }

// TLS is the state of the protected connection; ok is false in clear text.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	t := c.tls.Load()
	if t == nil {
		return state, false
	}
	return t.ConnectionState(), true
}

// Server is where the connection leads.
func (c *Conn) Server() Server { return c.server }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.wire.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// SetDeadline bounds reads and writes by an instant; the zero time lifts it.
func (c *Conn) SetDeadline(t time.Time) error { return c.wire.SetDeadline(t) }

// SetReadDeadline bounds reads by an instant; the zero time lifts it.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.wire.SetReadDeadline(t) }

// SetWriteDeadline bounds writes by an instant; the zero time lifts it.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.wire.SetWriteDeadline(t) }
