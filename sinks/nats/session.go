package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// connectTimeout bounds name, connection, TLS and sign-in.
	connectTimeout = 10 * time.Second
	// pingEvery and pingsMissed find a connection that has died in silence.
	pingEvery   = 20 * time.Second
	pingsMissed = 2
)

// session is one connection to a server. One that is lost is at its end: the library
// does not make another, so that who delivers knows why there is none.
type session struct {
	conn   *nats.Conn
	stream jetstream.JetStream
	ended  chan struct{} // closed when the library has told of the end

	mu      sync.Mutex
	waiting map[*waiter]bool
}

// waiter is somebody who waits for an answer.
type waiter struct {
	what string // in the server's words, publish to "SUBJECT", or how they begin
	fail context.CancelCauseFunc
}

// deniedError is the server's word that the user may not publish to a subject.
type deniedError struct{ said string }

func (e *deniedError) Error() string { return e.said }

// connect makes a session with the first server that answers.
func (s *Sink) connect(ctx context.Context) (*session, error) {
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	d := &dialer{ctx: limited}
	defer d.end()
	c := &session{ended: make(chan struct{}), waiting: map[*waiter]bool{}}
	options := append([]nats.Option{
		nats.Name("postferry/" + s.version + " sink " + s.name),
		nats.NoReconnect(), nats.SkipHostLookup(), nats.SetCustomDialer(d), nats.Timeout(connectTimeout),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsMissed),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.denied(err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(c.ended) }),
		func(o *nats.Options) error { o.TLSConfig, o.Secure = s.tls, s.target.secure; return nil },
	}, s.target.signIn...)
	conn, err := nats.Connect(strings.Join(s.target.servers, ","), options...)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && limited.Err() != nil:
		return nil, fmt.Errorf("nothing answered within %s", connectTimeout)
	case errors.Is(err, nats.ErrNoServers) && d.failed() != nil: // the library keeps no cause
		return nil, d.failed()
	case err != nil:
		return nil, err
	}
	c.conn = conn
	if c.stream, err = jetstream.New(conn); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// close ends the connection, and returns when the library is done with it.
func (c *session) close() {
	c.conn.Close()
	<-c.ended
}

// isOver tells whether the connection is lost.
func (c *session) isOver() bool { return c.conn.IsClosed() }

// publish waits for a stream to have the message. The library waits half a second
// more for a subject without a stream, whose leader may be changing.
func (c *session) publish(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	ctx, done := c.untilDenied(ctx, fmt.Sprintf("publish to %q", m.Subject))
	defer done()
	ack, err := c.stream.PublishMsg(ctx, m)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return ack, err
}

// untilDenied is a context that ends when the server says that the user may not do
// what is meant: nothing else would answer it. done is to be called in the end.
func (c *session) untilDenied(ctx context.Context, what string) (limited context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &waiter{strings.ToLower(what), cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[w] = true
	return ctx, func() {
		cancel(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, w)
	}
}

// denied ends what the user may not do.
func (c *session) denied(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.waiting {
		// -ERR 'Permissions Violation for Publish to "SUBJECT"'
		if strings.Contains(strings.ToLower(err.Error()), w.what) {
			w.fail(&deniedError{err.Error()})
		}
	}
}

// dialer connects for the library, within a context, and remembers why it could
// not. The connection it has made is closed if the context ends before end is called.
type dialer struct {
	ctx context.Context

	mu   sync.Mutex
	err  error
	stop []func() bool
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(d.ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.err = err
		return nil, err
	}
	d.stop = append(d.stop, context.AfterFunc(d.ctx, func() { conn.Close() }))
	return conn, nil
}

func (d *dialer) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *dialer) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, stop := range d.stop {
		stop()
	}
}
