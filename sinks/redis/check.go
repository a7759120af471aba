package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// checkTimeout bounds a check.
const checkTimeout = 15 * time.Second

// Preview implements sinks.Previewer. The fields beside the body are the header.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	m, entry, err := s.entry(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer m.Release()
	r := sinks.Request{Method: "XADD", URL: fmt.Sprintf("%s %s", s.target.url(), dial.Printable(entry.Stream)), Header: http.Header{}}
	values := entry.Values.([]any)
	for i := 0; i < len(values); i += 2 {
		if name := values[i].(string); name == "body" {
			r.Body = append([]byte(nil), values[i+1].([]byte)...)
		} else {
			r.Header[name] = []string{values[i+1].(string)}
		}
	}
	return r, nil
}

// url names the server and its database.
func (t target) url() string {
	if t.socket != "" {
		return t.String()
	}
	return fmt.Sprintf("%s://%s/%d", t.Server.Scheme, t.Server.Address(), t.db)
}

// Check implements sinks.Checker: it connects, signs in, looks at what is under the
// stream's name, and says what the server's answer will be worth. It adds nothing.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return []sinks.Finding{s.notThere(err)}
	}
	defer c.close()
	return []sinks.Finding{queue.Connected(s.target.String(), s.target.TLS != nil, s.target.Username), s.checkStream(ctx, c), checkDurability(ctx, c)}
}

func (s *Sink) notThere(err error) sinks.Finding {
	f := queue.NotConnected(err, s.mask, "check url, and that the server runs")
	var said redis.Error
	if errors.As(err, &said) {
		word, _, _ := strings.Cut(err.Error(), " ")
		f.Step, f.Fix = "sign-in", cmp.Or(advice[word], f.Fix)
	}
	return f
}

func (s *Sink) checkStream(ctx context.Context, c *session) sinks.Finding {
	if !s.stream.Fixed() {
		return sinks.Finding{Step: "stream", OK: true, Said: "each mail names its stream"}
	}
	name := s.stream.With(nil)
	kind, err := c.client.Type(ctx, name).Result()
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "NOPERM"):
		return sinks.Finding{Step: "stream", OK: true, Said: "this user may not ask what " + name + " is"}
	case err != nil:
		graded := s.grade(err)
		return sinks.Finding{Step: "stream", Said: graded.Error(), Fix: "check the server"}
	case kind == "none":
		return sinks.Finding{Step: "stream", OK: true, Said: name + " is not there yet, and is made by the first mail"}
	case kind != "stream":
		return sinks.Finding{Step: "stream", Said: fmt.Sprintf("%s is there and is no stream but a %s", name, dial.Printable(kind)), Fix: "choose another stream"}
	}
	return sinks.Finding{Step: "stream", OK: true, Said: name + " is there"}
}

// checkDurability says what an acknowledgement of this server is worth. A server
// that does not let itself be asked is none that fails.
func checkDurability(ctx context.Context, c *session) sinks.Finding {
	f := sinks.Finding{Step: "durability", OK: true, Said: "the server does not say (CONFIG GET): see docs/redis.md for what its answer is worth"}
	got, err := c.client.ConfigGet(ctx, "append*").Result()
	switch {
	case err != nil:
	case got["appendonly"] == "no":
		f.Said = "appendonly is no: what the server has answered for is lost when it stops before its next snapshot"
	case got["appendfsync"] == "always":
		f.Said = "appendfsync is always: what the server has answered for is on its disk"
	case got["appendfsync"] != "":
		f.Said = "appendfsync is " + dial.Printable(got["appendfsync"]) + ": what the server has answered for is in its memory, and on its disk a second later"
	}
	return f
}
