package amqp

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// publish publishes one message and returns when the broker has confirmed it, and
// not returned it.
func (s *Sink) publish(ctx context.Context, c *session, to address, d *sinks.Delivery, m *queue.Message) error {
	why, blocked := c.isBlocked()
	if why != "" {
		return s.isBlocked(why)
	}
	limited, cancel := context.WithTimeout(ctx, s.options.Options.Wait(int64(len(m.Body))))
	defer cancel()
	f := &flight{done: make(chan struct{})}
	if !c.enter(m.ID, f) {
		return fmt.Errorf("publishing to %s: the delivery is under way already", s.target)
	}
	defer c.leave(m.ID)
	// A write that waits for a broker that does not read ends with its connection.
	stop := context.AfterFunc(limited, func() { c.wire.Close() })
	confirmed, err := c.channel.PublishWithDeferredConfirm(to.exchange, to.key, true, false, message(d, m))
	stop()
	if err != nil {
		return s.lost(ctx, c, to, m)
	}
	select {
	case <-confirmed.Done():
	case <-blocked:
		why, _ := c.isBlocked()
		return s.isBlocked(why)
	case <-limited.Done():
		return s.unconfirmed(ctx)
	}
	switch {
	case confirmed.Acked() && c.cameBack(f) == nil:
		s.link.Worked()
		return nil
	case confirmed.Acked():
		s.link.Worked()
		return s.returned(f.returned, to)
	case c.isOver(): // then nobody has refused it
		return s.lost(ctx, c, to, m)
	}
	s.link.Worked()
	return s.refused(to)
}

// message is what is published.
func message(d *sinks.Delivery, m *queue.Message) amqp.Publishing {
	p := amqp.Publishing{
		MessageId: m.ID, ContentType: m.ContentType, DeliveryMode: amqp.Persistent, Timestamp: d.Timestamp,
		Type: "message.received", AppId: "postferry", Body: m.Body,
	}
	if len(m.Header) > 0 {
		p.Headers = amqp.Table{}
	}
	for _, f := range m.Header {
		p.Headers[f.Name] = f.Value
	}
	return p
}

// enter notes that a message is in flight; false where one of its id is already, and
// nothing would tell their returns apart.
func (c *session) enter(id string, f *flight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[id] != nil {
		return false
	}
	c.flights[id] = f
	return true
}

func (c *session) leave(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, id)
}

// cameBack is the return of a message that was confirmed; nil where there was none.
func (c *session) cameBack(f *flight) *amqp.Return {
	select {
	case c.ask <- f:
		<-f.done
	case <-c.unwatched:
		// Then all returns that there were have been noted.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.returned
}
