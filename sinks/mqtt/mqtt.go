// Package mqtt delivers mail to brokers of MQTT 5: one message of QoS 1 for each
// delivery, with its id as a user property.
//
// A delivery is acknowledged when the broker has answered with a PUBACK whose reason
// is success. A connection that is lost before is no acknowledgement, and neither is
// a PUBACK that says that nobody has subscribed, unless no_subscribers allows it.
//
//	session.go  a connection, which internal/link makes again when it is lost
//	topic.go    where a message goes, and what a mail may say of it
//	grade.go    whose fault an error is
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/postferry/postferry/internal/link"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Sink publishes under one topic, or one made of each mail. It implements sinks.Sink,
// Previewer and Checker.
type Sink struct {
	name    string
	options Options
	target  queue.Broker
	topic   *payload.Text
	maker   *queue.Maker
	text    bool // what is published is UTF-8
	mask    queue.Mask
	link    *link.Link[*session]

	delivering sync.RWMutex // held by every Deliver, and by Close to wait for them
}

// New makes the sink of that name. It connects to nothing. Its errors say which
// option to change, and hold no secret.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	e = e.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{name: name, options: o, text: r.IsJSON()}
	var err error
	if s.target, err = o.target(); err != nil {
		return nil, err
	}
	s.mask = s.target.Mask()
	if s.topic, err = compileTopic(o.Topic); err != nil {
		return nil, err
	}
	if s.maker, err = queue.NewMaker(o.Options, r, e.Clock, propertyID); err != nil {
		return nil, err
	}
	s.link = link.New(s.connect, (*session).close, (*session).isOver, e.Clock)
	return s, nil
}

// propertyID is the user property that has the delivery's id.
const propertyID = "id"

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	s.delivering.RLock()
	defer s.delivering.RUnlock()
	topic, err := topicOf(s.topic, d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	c, err := s.link.Use(ctx)
	if err != nil {
		return sinks.Receipt{}, s.unconnected(ctx, err)
	}
	if err := s.agrees(c); err != nil {
		return sinks.Receipt{}, err
	}
	m, err := s.maker.Make(d, c.limit(topic))
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer m.Release()
	return s.publish(ctx, c, topic, m)
}

func (s *Sink) publish(ctx context.Context, c *session, topic string, m *queue.Message) (sinks.Receipt, error) {
	limited, cancel := context.WithTimeout(ctx, s.options.Options.Wait(int64(len(m.Body))))
	defer cancel()
	stop := context.AfterFunc(c.alive, cancel)
	defer stop()
	answer, err := c.client.Publish(limited, s.message(topic, m))
	switch {
	case answer != nil: // with an error or without, the broker has spoken
		s.link.Worked()
		return s.judge(answer, topic)
	case ctx.Err() != nil:
		return sinks.Receipt{}, fmt.Errorf("publishing to %s: %w", s.target, context.Cause(ctx))
	case limited.Err() != nil && c.alive.Err() == nil:
		s.link.Broken(c) // a broker that gives no answer gives none to what waits behind it
		return sinks.Receipt{}, fmt.Errorf("publishing to %s: no PUBACK within the timeout", s.target)
	case errors.Is(err, paho.ErrInvalidArguments):
		return sinks.Receipt{}, sinks.SinkFault(fmt.Errorf("publishing to %s: %s", s.target, s.mask.Clean(err.Error())))
	}
	s.link.Broken(c)
	return sinks.Receipt{}, s.lost(c)
}

// message is what is published.
func (s *Sink) message(topic string, m *queue.Message) *paho.Publish {
	p := &paho.PublishProperties{ContentType: m.ContentType, User: paho.UserProperties{{Key: propertyID, Value: m.ID}}}
	if s.text {
		one := byte(1) // UTF-8 (MQTT 5, section 3.3.2.3.2)
		p.PayloadFormat = &one
	}
	if s.options.Expiry > 0 {
		seconds := uint32(s.options.Expiry / time.Second)
		p.MessageExpiry = &seconds
	}
	for _, f := range m.Header {
		p.User.Add(f.Name, f.Value)
	}
	return &paho.Publish{QoS: 1, Retain: s.options.Retain, Topic: topic, Properties: p, Payload: m.Body}
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
func (s *Sink) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "mqtt %s to %s", s.name, s.target) }

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
)
