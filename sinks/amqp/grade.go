package amqp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// isBlocked is the error while the broker takes no messages: the disk or the memory
// is short. It says so again, or that it is over, on the same connection.
func (s *Sink) isBlocked(why string) error {
	return sinks.SinkFault(fmt.Errorf("%s takes no messages now (connection.blocked): %s — free its disk or memory", s.target, s.mask.Clean(why)))
}

// unconfirmed is the error for a message the broker said nothing of.
func (s *Sink) unconfirmed(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("publishing to %s: %w", s.target, context.Cause(ctx))
	}
	return fmt.Errorf("publishing to %s: no confirmation within the timeout", s.target)
}

// returned is the error for a message that came back (basic.return).
func (s *Sink) returned(r *amqp.Return, to address) error {
	said := fmt.Sprintf("%d %s", r.ReplyCode, s.mask.Clean(r.ReplyText))
	answered := &sinks.AttemptError{Detail: said, Err: fmt.Errorf("%s returned the message, which is in no queue: %s, exchange %q, routing key %q — bind a queue, or change exchange and routing_key",
		s.target, said, dial.Printable(to.exchange), dial.Printable(to.key))}
	if s.made() {
		return answered
	}
	return sinks.SinkFault(answered)
}

// refused is the error for a message the broker did not take (basic.nack).
func (s *Sink) refused(to address) error {
	answered := &sinks.AttemptError{Detail: "basic.nack", Err: fmt.Errorf("%s refused the message (basic.nack), exchange %q, routing key %q — a queue is full and rejects, or has failed",
		s.target, dial.Printable(to.exchange), dial.Printable(to.key))}
	if s.made() {
		return answered
	}
	return sinks.SinkFault(answered)
}

// tooLargeError is a body the broker does not take, and how large one may be.
type tooLargeError struct {
	error
	limit int64
}

func (e *tooLargeError) Unwrap() error { return e.error }

// tooLarge is how RabbitMQ words it (rabbit_channel, check_msg_size).
var tooLarge = regexp.MustCompile(`message size (\d+) is larger than configured max size (\d+)`)

// lost is the error for a message whose channel or connection ended before its
// confirmation. The reason concerns the message that gave it, and all others are as
// good as before.
func (s *Sink) lost(ctx context.Context, c *session, to address, m *queue.Message) error {
	why := c.over()
	if why == nil {
		if ctx.Err() != nil {
			return s.unconfirmed(ctx)
		}
		return fmt.Errorf("publishing to %s: the connection was lost before the confirmation", s.target)
	}
	text := s.mask.Clean(why.Reason)
	err := error(&sinks.AttemptError{Detail: strconv.Itoa(why.Code), Answer: text, Err: fmt.Errorf("publishing to %s: %d %s", s.target, why.Code, text)})
	switch why.Code {
	case amqp.PreconditionFailed:
		if found := tooLarge.FindStringSubmatch(why.Reason); found != nil && found[1] == strconv.Itoa(len(m.Body)) {
			limit, _ := strconv.ParseInt(found[2], 10, 64)
			return &tooLargeError{sinks.MailFault(err), limit}
		}
	case amqp.NotFound, amqp.AccessRefused:
		if !s.made() {
			return sinks.SinkFault(fmt.Errorf("%w — make the exchange, let the user write to it, or change exchange", err))
		}
	}
	return err
}

// unconnected grades a connection that could not be made.
func (s *Sink) unconnected(ctx context.Context, err error) error {
	if said, ok := errors.AsType[*amqp.Error](err); ok && ctx.Err() == nil {
		text := s.mask.Clean(said.Reason)
		return sinks.SinkFault(&sinks.AttemptError{Detail: strconv.Itoa(said.Code), Answer: text, Err: fmt.Errorf("connecting to %s: %d %s — %s", s.target, said.Code, text, advice(said))})
	}
	return queue.Unconnected(ctx, s.target.String(), err, s.mask, "")
}

// advice is what to do about an answer to a connection.
func advice(said *amqp.Error) string {
	switch {
	case said.Code == amqp.ErrCredentials.Code && said.Reason == amqp.ErrCredentials.Reason:
		return "check username and password, in url or as keys of their own"
	case said.Code == amqp.AccessRefused, said.Code == amqp.NotAllowed:
		return "check username and password, the name of the vhost in url, and what the user may do there"
	case said.Code == amqp.ErrSASL.Code && said.Reason == amqp.ErrSASL.Reason:
		return "the broker offers no PLAIN; sign in with a certificate (tls.client_cert)"
	}
	return "the broker's log says why"
}
