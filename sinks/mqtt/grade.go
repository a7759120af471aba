package mqtt

import (
	"context"
	"errors"
	"fmt"

	"github.com/eclipse/paho.golang/paho"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// Reason codes (MQTT 5, section 2.4).
const (
	noSubscribers     = 0x10
	badProtocol       = 0x84
	badClientID       = 0x85
	badPassword       = 0x86
	notAuthorized     = 0x87
	topicInvalid      = 0x90
	packetTooLarge    = 0x95
	quotaExceeded     = 0x97
	payloadInvalid    = 0x99
	useAnotherServer  = 0x9C
	serverMoved       = 0x9D
	sessionTakenOver  = 0x8E
	serverUnavailable = 0x88
)

// reasons are their names.
var reasons = map[byte]string{
	noSubscribers: "no matching subscribers", 0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x83: "implementation specific error",
	badProtocol: "unsupported protocol version", badClientID: "client identifier not valid", badPassword: "bad user name or password", notAuthorized: "not authorized",
	serverUnavailable: "server unavailable", 0x89: "server busy", 0x8A: "banned", 0x8B: "server shutting down", 0x8C: "bad authentication method", 0x8D: "keep alive timeout",
	sessionTakenOver: "session taken over", topicInvalid: "topic name invalid", 0x91: "packet identifier in use", 0x93: "receive maximum exceeded",
	0x94: "topic alias invalid", packetTooLarge: "packet too large", 0x96: "message rate too high", quotaExceeded: "quota exceeded", 0x98: "administrative action",
	payloadInvalid: "payload format invalid", 0x9A: "retain not supported", 0x9B: "QoS not supported", useAnotherServer: "use another server", serverMoved: "server moved",
	0x9F: "connection rate exceeded",
}

// advice is what to do about some of them.
var advice = map[byte]string{
	noSubscribers: "nobody has subscribed, and the broker keeps nothing: let a subscriber begin a session that lasts, or set no_subscribers: accept",
	badProtocol:   "the broker does not speak MQTT 5",
	badClientID:   "change client_id",
	badPassword:   "check username and password, in url or as keys of their own",
	notAuthorized: "check username and password, and whether the user may publish under this topic",
	topicInvalid:  "change topic",
	quotaExceeded: "the broker's quota is used up",
	0x9A:          "take retain out",
	0x9B:          "the broker takes no QoS 1, and so acknowledges nothing",

	useAnotherServer: "name in url the server the broker speaks of", serverMoved: "name in url the server the broker speaks of",
	sessionTakenOver: "another client uses the same client_id",
}

// words are a reason code's, with what the broker added.
func words(code byte, reason string) string {
	name := reasons[code]
	if name == "" {
		name = "reason"
	}
	text := fmt.Sprintf("0x%02X %s", code, name)
	if reason != "" {
		text += ", " + reason
	}
	return text
}

// judge turns a PUBACK into the sink's verdict.
func (s *Sink) judge(answer *paho.PublishResponse, topic string) (sinks.Receipt, error) {
	code, reason := answer.ReasonCode, ""
	if answer.Properties != nil {
		reason = answer.Properties.ReasonString
	}
	switch {
	case code == noSubscribers && (s.options.NoSubscribers == Accept || s.options.Retain):
		return sinks.Receipt{Detail: "PUBACK 0x10, nobody has subscribed"}, nil
	case code < 0x80 && code != noSubscribers:
		return sinks.Receipt{Detail: fmt.Sprintf("PUBACK 0x%02X", code)}, nil
	}
	text := s.mask.Clean(words(code, reason))
	err := fmt.Errorf("%s answered PUBACK %s to topic %s", s.target, text, dial.Printable(topic))
	if hint := advice[code]; hint != "" {
		err = fmt.Errorf("%w — %s", err, hint)
	}
	return sinks.Receipt{}, s.grade(code, &sinks.AttemptError{Detail: fmt.Sprintf("PUBACK 0x%02X", code), Answer: s.mask.Clean(reason), Err: err})
}

// grade says whose fault a reason is. Where the mail has a part in the topic it may
// be the topic's, and concerns this mail alone.
func (s *Sink) grade(code byte, err error) error {
	switch code {
	case noSubscribers, notAuthorized:
		if s.topic.Fixed() {
			return sinks.SinkFault(err)
		}
	case topicInvalid:
		if s.topic.Fixed() {
			return sinks.SinkFault(err)
		}
		return sinks.MailFault(err)
	case packetTooLarge, payloadInvalid:
		return sinks.MailFault(err)
	case quotaExceeded, 0x9A, 0x9B:
		return sinks.SinkFault(err)
	}
	return err
}

// agrees tells whether the broker allows what the sink is to do.
func (s *Sink) agrees(c *session) error {
	code := byte(0)
	switch {
	case c.allows.MaximumQoS != nil && *c.allows.MaximumQoS == 0:
		code = 0x9B
	case s.options.Retain && !c.allows.RetainAvailable:
		code = 0x9A
	default:
		return nil
	}
	return sinks.SinkFault(fmt.Errorf("%s: %s — %s", s.target, words(code, ""), advice[code]))
}

// lost is the error for a message whose connection ended before its PUBACK.
func (s *Sink) lost(c *session) error {
	if d := c.said.Load(); d != nil {
		reason := ""
		if d.Properties != nil {
			reason = d.Properties.ReasonString
		}
		text := s.mask.Clean(words(d.ReasonCode, reason))
		err := fmt.Errorf("publishing to %s: the broker ended the connection: %s", s.target, text)
		if hint := advice[d.ReasonCode]; hint != "" {
			err = fmt.Errorf("%w — %s", err, hint)
		}
		return &sinks.AttemptError{Detail: fmt.Sprintf("DISCONNECT 0x%02X", d.ReasonCode), Answer: text, Err: err}
	}
	return fmt.Errorf("publishing to %s: the connection was lost before the PUBACK", s.target)
}

// unconnected grades a connection that could not be made.
func (s *Sink) unconnected(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*refusedError](err)
	if !ok || ctx.Err() != nil {
		return queue.Unconnected(ctx, s.target.String(), err, s.mask, "")
	}
	text := fmt.Errorf("connecting to %s: %s", s.target, s.mask.Clean(err.Error()))
	if hint := advice[refused.code]; hint != "" {
		text = fmt.Errorf("%w — %s", text, hint)
	}
	return sinks.SinkFault(&sinks.AttemptError{Detail: fmt.Sprintf("CONNACK 0x%02X", refused.code), Answer: s.mask.Clean(refused.reason), Err: text})
}
