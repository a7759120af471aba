// Package amqp delivers mail to RabbitMQ and other brokers of AMQP 0-9-1: one
// persistent message for each delivery, whose message-id is the delivery's.
//
// A delivery is acknowledged when the broker has confirmed the message (basic.ack in
// confirm mode), and had not returned it before: a broker confirms what no queue
// wants as well, so every message is mandatory, and one that comes back was not
// delivered. Nothing is declared: exchanges, queues and bindings are the operator's.
//
//	session.go  a connection and its channel, which internal/link makes again
//	publish.go  one message, from publishing to the broker's word
//	grade.go    whose fault an error is
package amqp

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/internal/link"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Sink publishes to one exchange, or to one named by each mail. It implements
// sinks.Sink, Previewer and Checker.
type Sink struct {
	name     string
	version  string
	options  Options
	target   target
	exchange *payload.Text
	key      *payload.Text
	maker    *queue.Maker
	mask     queue.Mask
	link     *link.Link[*session]
	limit    atomic.Int64 // of a body, once the broker has said so; 0: not known

	delivering sync.RWMutex // held by every Deliver, and by Close to wait for them
}

// New makes the sink of that name. It connects to nothing. Its errors say which
// option to change, and hold no secret.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	e = e.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{name: name, version: e.Version, options: o}
	var err error
	if s.target, err = o.target(); err != nil {
		return nil, err
	}
	s.mask = s.target.Mask()
	if s.exchange, err = payload.CompileText(o.Exchange); err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	if s.key, err = payload.CompileText(o.RoutingKey); err != nil {
		return nil, fmt.Errorf("routing_key: %w", err)
	}
	if s.maker, err = queue.NewMaker(o.Options, r, e.Clock); err != nil {
		return nil, err
	}
	s.link = link.New(s.connect, s.end, (*session).isOver, e.Clock)
	return s, nil
}

// address is where one message goes.
type address struct{ exchange, key string }

// longestName is how long the names of exchanges and routing keys may be, in octets
// (AMQP 0-9-1, section 4.2.5.3).
const longestName = 255

func (s *Sink) address(d *sinks.Delivery) (address, error) {
	exchange, err := s.exchange.Fill(d, queue.Value)
	if err != nil {
		return address{}, sinks.Permanent(fmt.Errorf("making the exchange of this mail: %w", err))
	}
	key, err := s.key.Fill(d, queue.Value)
	if err != nil {
		return address{}, sinks.Permanent(fmt.Errorf("making the routing key of this mail: %w", err))
	}
	if len(exchange) > longestName || len(key) > longestName {
		return address{}, sinks.Permanent(fmt.Errorf("what this mail gives for the exchange has %d octets and for the routing key %d, and AMQP knows %d", len(exchange), len(key), longestName))
	}
	return address{exchange, key}, nil
}

// made tells whether the mail has a part in where its message goes.
func (s *Sink) made() bool { return !s.exchange.Fixed() || !s.key.Fixed() }

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	s.delivering.RLock()
	defer s.delivering.RUnlock()
	to, err := s.address(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	before := s.limit.Load()
	err = s.deliver(ctx, d, to)
	if tooLarge, ok := err.(*tooLargeError); ok && before == 0 {
		// Only now the broker has said what it takes.
		s.limit.Store(tooLarge.limit)
		err = s.deliver(ctx, d, to)
	}
	if err != nil {
		return sinks.Receipt{}, err
	}
	return sinks.Receipt{Detail: "confirmed"}, nil
}

func (s *Sink) deliver(ctx context.Context, d *sinks.Delivery, to address) error {
	c, err := s.link.Use(ctx)
	if err != nil {
		return s.unconnected(ctx, err)
	}
	m, err := s.maker.Make(d, s.limit.Load())
	if err != nil {
		return err
	}
	defer m.Release()
	err = s.publish(ctx, c, to, d, m)
	if c.isOver() {
		s.link.Broken(c)
	}
	return err
}

// end takes a session apart. A broker that ended it for another reason than the size
// of a message may come back with another limit.
func (s *Sink) end(c *session) {
	if why := c.over(); why == nil || why.Code != amqp.PreconditionFailed {
		s.limit.Store(0)
	}
	c.close()
}

// Close implements sinks.Sink: it waits for the deliveries under way.
func (s *Sink) Close() error {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	s.link.Close()
	return nil
}

// Format implements fmt.Formatter: under every verb a Sink is its name and broker,
// so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "amqp %s to %s", s.name, s.target) }

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
)
