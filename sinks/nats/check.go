package nats

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// checkTimeout bounds a check.
const checkTimeout = 15 * time.Second

// Preview implements sinks.Previewer. The server's limit is not known to it.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	m, made, err := s.message(d, 0)
	if err != nil {
		return sinks.Request{}, err
	}
	defer made.Release()
	return sinks.Request{
		Method: "PUB", URL: s.target.hosts + " " + dial.Printable(m.Subject), Header: http.Header(m.Header), Body: append([]byte(nil), m.Data...),
	}, nil
}

// Check implements sinks.Checker: it connects, signs in, and looks at the stream
// that takes the subject. It publishes nothing.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		f := queue.NotConnected(err, s.mask, advice(err))
		switch {
		case isSignIn(err):
			f.Step = "sign-in"
		case errors.Is(err, nats.ErrTLS), errors.Is(err, nats.ErrSecureConnWanted):
			f.Step = "TLS"
		}
		return []sinks.Finding{f}
	}
	defer c.close()
	_, plain := c.conn.TLSConnectionState()
	f := queue.Connected(fmt.Sprintf("NATS %s at %s", dial.Printable(c.conn.ConnectedServerVersion()), c.conn.ConnectedAddr()), plain == nil, s.target.user)
	f.Said += fmt.Sprintf("; a message may have %s", config.Size(c.conn.MaxPayload()))
	return []sinks.Finding{f, s.checkStream(ctx, c)}
}

// checkStream says which stream will confirm, and what that is worth.
func (s *Sink) checkStream(ctx context.Context, c *session) sinks.Finding {
	ctx, done := c.untilDenied(ctx, `publish to "$JS.API.`)
	defer done()
	name := s.options.Stream
	subject := s.subject.With(func(int) string { return "x" })
	if name == "" && !s.subject.Fixed() {
		if _, err := c.stream.AccountInfo(ctx); err != nil {
			return s.unseen(ctx, err)
		}
		return sinks.Finding{Step: "stream", OK: true, Said: "JetStream is on; each mail makes its subject, so which stream takes it is seen when it is delivered"}
	}
	var err error
	if name == "" {
		name, err = c.stream.StreamNameBySubject(ctx, subject)
	}
	var found jetstream.Stream
	if err == nil {
		found, err = c.stream.Stream(ctx, name)
	}
	if err != nil {
		return s.unseen(ctx, err)
	}
	at := found.CachedInfo().Config
	kept := "in files"
	if at.Storage == jetstream.MemoryStorage {
		kept = "in memory, which a restart of the server loses"
	}
	return sinks.Finding{Step: "stream", OK: true, Said: fmt.Sprintf("stream %s takes %s: %d replicas, %s; it drops a delivery repeated within %s", dial.Printable(name), dial.Printable(subject), max(1, at.Replicas), kept, at.Duplicates)}
}

// unseen is a stream that could not be looked at.
func (s *Sink) unseen(ctx context.Context, err error) sinks.Finding {
	if ctx.Err() != nil {
		err = context.Cause(ctx) // the server's words, where it has said no
	}
	f := sinks.Finding{Step: "stream", Said: s.clean(err)}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrNoStreamResponse):
		f.Fix = "make a stream that takes the subject: nats stream add"
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		f.Fix = "turn JetStream on, for the account too"
	default:
		f.Fix = "let the user ask $JS.API.STREAM.NAMES and $JS.API.STREAM.INFO, or go without this look: deliveries need neither"
	}
	return f
}
