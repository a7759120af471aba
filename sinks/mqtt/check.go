package mqtt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// checkTimeout bounds a check.
const checkTimeout = 20 * time.Second

// Preview implements sinks.Previewer. User properties are the header.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	topic, err := topicOf(s.topic, d)
	if err != nil {
		return sinks.Request{}, err
	}
	m, err := s.maker.Make(d, (&session{}).limit(topic))
	if err != nil {
		return sinks.Request{}, err
	}
	defer m.Release()
	r := sinks.Request{
		Method: "PUBLISH", URL: fmt.Sprintf("%s://%s %s", s.target.Server.Scheme, s.target, topic),
		Header: http.Header{"content-type": {m.ContentType}, propertyID: {m.ID}}, Body: append([]byte(nil), m.Body...),
	}
	for _, f := range m.Header {
		r.Header[f.Name] = []string{f.Value}
	}
	return r, nil
}

// Check implements sinks.Checker: it connects, signs in, and says what the broker
// allows. It publishes nothing, so whether the user may is not known.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return []sinks.Finding{s.notThere(err)}
	}
	defer c.close()
	return []sinks.Finding{queue.Connected(s.target.String(), s.target.TLS != nil, s.target.Username), s.checkLimits(c)}
}

func (s *Sink) checkLimits(c *session) sinks.Finding {
	if err := s.agrees(c); err != nil {
		return sinks.Finding{Step: "limits", Said: err.Error(), Fix: "ask for what the broker allows, or change its configuration"}
	}
	said := "QoS 1"
	if m := c.allows.MaximumPacketSize; m != nil {
		said += fmt.Sprintf(", packets of up to %d octets", *m)
	}
	if m := c.allows.ReceiveMaximum; m != nil {
		said += fmt.Sprintf(", %d messages in flight", *m)
	}
	return sinks.Finding{Step: "limits", OK: true, Said: "the broker takes " + said}
}

func (s *Sink) notThere(err error) sinks.Finding {
	f := queue.NotConnected(err, s.mask, "check url, and that the broker runs and speaks MQTT 5")
	if refused, ok := errors.AsType[*refusedError](err); ok {
		f.Step, f.Fix = "sign-in", cmp.Or(advice[refused.code], f.Fix)
	}
	return f
}
