package amqp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
)

// checkTimeout bounds a check.
const checkTimeout = 20 * time.Second

// inURL names the key of a sink in a hint written for mailboxes.
func inURL(hint string) string { return strings.ReplaceAll(hint, "in server", "in url") }

// Preview implements sinks.Previewer.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	to, err := s.address(d)
	if err != nil {
		return sinks.Request{}, err
	}
	m, err := s.maker.Make(d, s.limit.Load())
	if err != nil {
		return sinks.Request{}, err
	}
	defer m.Release()
	r := sinks.Request{
		Method: "PUBLISH", URL: fmt.Sprintf("%s://%s/%s exchange %q routing key %q", s.target.server.Scheme, s.target, strings.TrimPrefix(s.target.vhost, "/"), to.exchange, to.key),
		Header: http.Header{"message-id": {m.ID}, "content-type": {m.ContentType}, "delivery-mode": {strconv.Itoa(int(amqp.Persistent))}},
		Body:   append([]byte(nil), m.Body...),
	}
	for _, f := range m.Header {
		r.Header[f.Name] = []string{f.Value}
	}
	return r, nil
}

// Check implements sinks.Checker: it connects, signs in, and asks whether exchange or
// queue are there. It publishes and declares nothing.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return []sinks.Finding{s.notThere(err)}
	}
	defer c.close()
	stop := context.AfterFunc(ctx, func() { c.wire.Close() })
	defer stop()
	said := fmt.Sprintf("connected to %s, vhost %s", s.target, s.target.vhost)
	if s.target.tls != nil {
		said += ", with TLS"
	}
	return []sinks.Finding{{Step: "connection", OK: true, Said: said + ", signed in"}, s.checkTopology(c)}
}

func (s *Sink) notThere(err error) sinks.Finding {
	f := sinks.Finding{Step: "connection", Said: s.clean(err.Error()), Fix: "check url, and that the broker runs"}
	var at *dial.Error
	var said *amqp.Error
	switch {
	case errors.As(err, &at):
		f.Step = strings.ToUpper(at.Stage)
		if at.Hint != "" {
			f.Fix = inURL(at.Hint)
		}
	case errors.As(err, &said):
		f.Step, f.Fix = "sign-in", advice(said)
	}
	return f
}

// checkTopology asks for what is published to, by its name alone (passive).
func (s *Sink) checkTopology(c *session) sinks.Finding {
	step, name, err := "exchange", s.options.Exchange, error(nil)
	switch {
	case s.options.Exchange == "" && s.key.Fixed():
		step, name = "queue", s.options.RoutingKey
		_, err = c.channel.QueueDeclarePassive(name, true, false, false, false, nil)
	case s.options.Exchange == "":
		return sinks.Finding{Step: "queue", OK: true, Said: "each mail names its queue"}
	case !s.exchange.Fixed():
		return sinks.Finding{Step: step, OK: true, Said: "each mail names its exchange"}
	default:
		err = c.channel.ExchangeDeclarePassive(name, "direct", true, false, false, false, nil)
	}
	if err != nil {
		return sinks.Finding{Step: step, Said: s.clean(err.Error()), Fix: "make the " + step + ", or change it: postferry declares none"}
	}
	return sinks.Finding{Step: step, OK: true, Said: name + " is there"}
}
