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

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// checkTimeout bounds a check.
const checkTimeout = 20 * time.Second

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
		Method: "PUBLISH", URL: fmt.Sprintf("%s://%s/%s exchange %q routing key %q", s.target.Server.Scheme, s.target, strings.TrimPrefix(s.target.vhost, "/"), to.exchange, to.key),
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
	to := fmt.Sprintf("%s, vhost %s,", s.target, s.target.vhost)
	return []sinks.Finding{queue.Connected(to, s.target.TLS != nil, s.target.Username), s.checkTopology(c)}
}

func (s *Sink) notThere(err error) sinks.Finding {
	f := queue.NotConnected(err, s.mask, "check url, and that the broker runs")
	if said, ok := errors.AsType[*amqp.Error](err); ok {
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
		return sinks.Finding{Step: step, Said: s.mask.Clean(err.Error()), Fix: "make the " + step + ", or change it: postferry declares none"}
	}
	return sinks.Finding{Step: step, OK: true, Said: name + " is there"}
}
