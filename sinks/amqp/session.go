package amqp

import (
	"context"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/internal/dial"
)

// connectTimeout bounds name, connection and TLS, and then the sign-in.
const connectTimeout = 15 * time.Second

// session is a connection with one channel in confirm mode. When either is lost the
// session is over: what was in flight is not acknowledged.
type session struct {
	wire    *dial.Conn
	conn    *amqp.Connection
	channel *amqp.Channel
	closes  chan *amqp.Error // of the channel, which ends with the connection

	watching  sync.WaitGroup
	unwatched chan struct{} // closed when no return comes any more
	returned  chan amqp.Return
	ask       chan *flight // a publisher waits until what came before has been looked at

	mu      sync.Mutex
	flights map[string]*flight
	why     *amqp.Error   // the session is over
	blocked string        // why the broker takes no messages; "" where it does
	changed chan struct{} // closed when blocked becomes set
}

// flight is a message that was published and has no answer yet.
type flight struct {
	done     chan struct{}
	returned *amqp.Return
}

// connect connects, signs in and opens a channel in confirm mode.
func (s *Sink) connect(ctx context.Context) (*session, error) {
	wire, err := s.target.Dial(ctx, connectTimeout, s.options.Options.Wait(0)) // heartbeats see to its end
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	stop := context.AfterFunc(limited, func() { wire.Close() })
	c, err := s.open(wire)
	if !stop() {
		if c != nil {
			c.close()
		}
		return nil, fmt.Errorf("the broker does not answer: %w", context.Cause(limited))
	}
	return c, err
}

func (s *Sink) open(wire *dial.Conn) (*session, error) {
	heartbeat := s.options.Heartbeat
	if heartbeat == 0 {
		heartbeat = DefaultHeartbeat
	}
	sign := amqp.Authentication(&amqp.PlainAuth{Username: s.target.Username, Password: s.target.Password.Reveal()})
	if s.target.external {
		sign = &amqp.ExternalAuth{}
	}
	properties := amqp.Table{"product": "postferry", "version": s.version, "connection_name": "postferry " + s.name}
	conn, err := amqp.Open(wire, amqp.Config{SASL: []amqp.Authentication{sign}, Vhost: s.target.vhost, Heartbeat: heartbeat, Locale: "en_US", FrameSize: 128 << 10, Properties: properties})
	if err != nil {
		wire.Close()
		return nil, err
	}
	c := &session{
		wire: wire, conn: conn, closes: make(chan *amqp.Error, 1), returned: make(chan amqp.Return), ask: make(chan *flight),
		flights: map[string]*flight{}, changed: make(chan struct{}), unwatched: make(chan struct{}),
	}
	c.channel, err = conn.Channel()
	if err == nil {
		c.channel.NotifyClose(c.closes)
		err = c.channel.Confirm(false)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.channel.NotifyReturn(c.returned)
	blocking := conn.NotifyBlocked(make(chan amqp.Blocking))
	c.watching.Go(c.watchReturns)
	c.watching.Go(func() { c.watchBlocking(blocking) })
	return c, nil
}

// watchReturns notes what comes back. The library hands a return over before it
// looks at the confirmation behind it, but hands it to this goroutine: by asking it,
// a publisher knows that all returns before its confirmation are noted.
func (c *session) watchReturns() {
	defer close(c.unwatched)
	for {
		select {
		case r, open := <-c.returned:
			if !open {
				return
			}
			c.mu.Lock()
			if f := c.flights[r.MessageId]; f != nil {
				f.returned = &r
			}
			c.mu.Unlock()
		case f := <-c.ask:
			close(f.done)
		}
	}
}

// watchBlocking notes when the broker takes no messages, and when it does again.
func (c *session) watchBlocking(events <-chan amqp.Blocking) {
	for e := range events {
		c.mu.Lock()
		if e.Active && c.blocked == "" {
			c.blocked = e.Reason
			if c.blocked == "" {
				c.blocked = "an alarm"
			}
			close(c.changed)
		}
		if !e.Active && c.blocked != "" {
			c.blocked, c.changed = "", make(chan struct{})
		}
		c.mu.Unlock()
	}
}

// isBlocked is why the broker takes no messages, "" where it does, and what is
// closed when it stops to.
func (c *session) isBlocked() (why string, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocked, c.changed
}

// isOver tells whether channel or connection are lost.
func (c *session) isOver() bool { return c.channel.IsClosed() || c.conn.IsClosed() }

// over is why they are; nil where the broker did not say.
func (c *session) over() *amqp.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case why := <-c.closes:
		if c.why == nil {
			c.why = why
		}
	default:
	}
	return c.why
}

// closing bounds the farewell.
const closing = 2 * time.Second

// close takes the session apart, and returns when nothing of it runs any more.
func (c *session) close() {
	if !c.conn.IsClosed() {
		c.wire.SetDeadline(time.Now().Add(closing))
		c.conn.Close()
	}
	c.wire.Close()
	if !c.conn.IsClosed() {
		c.conn.Close()
	}
	c.watching.Wait()
}
