// Package nats delivers mail into a stream of NATS JetStream: one message for each
// delivery, with the delivery's id as Nats-Msg-Id, by which the stream drops what
// it has had within its duplicate window.
//
// A delivery is acknowledged when the stream has answered that it has stored the
// message (a PubAck). Core NATS, which confirms nothing, is not used: a subject no
// stream takes is a failure. What the answer is worth is for the stream to decide,
// and for docs/queues.md to say.
//
//	session.go  one connection, which internal/link makes again when it is lost
//	grade.go    whose fault an error is
package nats

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postferry/postferry/internal/link"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// The fields of a message's header that are postferry's.
const (
	headerType   = "Content-Type"
	headerStream = jetstream.ExpectedStreamHeader
)

// ownHeader is what those fields, and the line before them, take at most, beside
// the values that queue.Maker counts, in octets.
const ownHeader = 128

// Sink publishes to one subject, or one made of each mail. It implements
// sinks.Sink, Previewer and Checker.
type Sink struct {
	name    string
	version string
	options Options
	target  *target
	tls     *tls.Config
	subject *payload.Text
	maker   *queue.Maker
	mask    queue.Mask
	link    *link.Link[*session]

	delivering sync.RWMutex // held by every Deliver, and by Close to wait for them
}

// New makes the sink of that name. It connects to nothing. Its errors say which
// option to change; they hold no secret.
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
	if s.tls, err = o.tls(); err != nil {
		return nil, err
	}
	if s.subject, err = payload.CompileText(o.Subject); err != nil {
		return nil, err
	}
	if s.maker, err = queue.NewMaker(o.Options, r, e.Clock, headerType); err != nil {
		return nil, err
	}
	s.mask = queue.NewMask(s.target.secrets...)
	s.link = link.New(s.connect, (*session).close, (*session).isOver, e.Clock)
	return s, nil
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if ctx.Err() != nil {
		return sinks.Receipt{}, context.Cause(ctx)
	}
	s.delivering.RLock()
	defer s.delivering.RUnlock()
	c, err := s.link.Use(ctx)
	if err != nil {
		return sinks.Receipt{}, s.unconnected(ctx, err)
	}
	m, made, err := s.message(d, c.conn.MaxPayload())
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer made.Release()
	wait := s.options.Wait(int64(len(m.Data)))
	limited, cancel := context.WithTimeoutCause(ctx, wait, errNoAnswer)
	defer cancel()
	ack, err := c.publish(limited, m)
	if err != nil {
		if c.conn.IsClosed() {
			s.link.Broken(c)
		}
		return sinks.Receipt{}, s.graded(ctx, m.Subject, wait, err)
	}
	s.link.Worked()
	detail := fmt.Sprintf("stream %s, sequence %d", ack.Stream, ack.Sequence)
	if ack.Duplicate {
		detail += ", which it had already"
	}
	return sinks.Receipt{Detail: detail}, nil
}

// message is what is published of a delivery; limit is the server's, 0 for none.
func (s *Sink) message(d *sinks.Delivery, limit int64) (*nats.Msg, *queue.Message, error) {
	subject, err := s.subject.Fill(d, token)
	if err == nil {
		err = checkSubject(subject)
	}
	if err != nil {
		return nil, nil, sinks.Permanent(fmt.Errorf("making the subject of this mail: %w", err))
	}
	if limit > 0 {
		limit = max(1, limit-ownHeader-int64(len(s.options.Stream)))
	}
	made, err := s.maker.Make(d, limit)
	if err != nil {
		return nil, nil, err
	}
	m := &nats.Msg{Subject: subject, Data: made.Body, Header: nats.Header{jetstream.MsgIDHeader: {made.ID}, headerType: {made.ContentType}}}
	if s.options.Stream != "" {
		m.Header[headerStream] = []string{s.options.Stream}
	}
	for _, f := range made.Header {
		m.Header[f.Name] = append(m.Header[f.Name], f.Value)
	}
	return m, made, nil
}

// Format implements fmt.Formatter: under every verb a Sink is its name and where it
// publishes, so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "nats %s to %s", s.name, s.target.hosts) }

// Close implements sinks.Sink. It waits for the confirmations of what is under way.
func (s *Sink) Close() error {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	s.link.Close()
	return nil
}

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
)
