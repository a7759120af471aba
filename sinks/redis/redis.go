// Package redis delivers mail into a stream of Redis or Valkey: one entry for each
// delivery, with the fields id and body (XADD). The entry's own id is Redis's; what
// tells a delivery that is repeated is the field id, by which consumers drop what
// they have seen.
//
// A delivery is acknowledged when Redis has answered with the entry's id. What that
// is worth is for Redis to decide, and for docs/redis.md to say: on disk with
// appendfsync always, in memory with everysec, and on replicas or disks where wait
// asks for them (WAIT, WAITAOF), whose answer is then part of the acknowledgement.
//
//	batch.go    deliveries that come while others are under way leave in one pipeline
//	session.go  a connection, which internal/link makes again when it is lost
//	grade.go    whose fault an error is
package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/link"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Sink appends to one stream, or to one named by each mail. It implements
// sinks.Sink, Previewer and Checker.
type Sink struct {
	name    string
	options Options
	target  target
	stream  *payload.Text
	maker   *queue.Maker
	mask    queue.Mask
	json    bool // so that an entry need not say what its body is
	clock   clock.Clock
	lanes   []*link.Link[*session]
	batches *batches
	limit   atomic.Int64 // what the server takes of a value; 0: it was not asked yet

	delivering sync.RWMutex // held by every Deliver, and by Close to wait for them
}

// usualLimit is proto-max-bulk-len as Redis comes.
const usualLimit = 512 << 20

// mostLanes is how many pipelines are under way at once, each on a connection of its
// own. Redis syncs once for all that it has read.
const mostLanes = 4

// longestKey is how long the name of a stream may be, in octets.
const longestKey = 512

// New makes the sink of that name. It connects to nothing. Its errors say which
// option to change, and hold no secret.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	e = e.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{name: name, options: o, json: r.IsJSON(), clock: e.Clock}
	var err error
	if s.target, err = o.target(); err != nil {
		return nil, err
	}
	s.mask = s.target.Mask()
	if s.stream, err = payload.CompileText(o.Stream); err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	if s.maker, err = queue.NewMaker(o.Options, r, e.Clock, taken...); err != nil {
		return nil, err
	}
	for range min(e.Concurrency, mostLanes) {
		s.lanes = append(s.lanes, link.New(s.connect, (*session).close, nil, e.Clock))
	}
	s.batches = newBatches(len(s.lanes), s.send)
	return s, nil
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	s.delivering.RLock()
	defer s.delivering.RUnlock()
	if s.limit.Load() == 0 {
		if _, err := s.lanes[0].Use(ctx); err != nil {
			return sinks.Receipt{}, s.unconnected(ctx, err)
		}
	}
	r := &request{ctx: ctx, done: make(chan struct{})}
	var err error
	if r.message, r.entry, err = s.entry(d); err != nil {
		return sinks.Receipt{}, err
	}
	s.batches.add(r)
	select {
	case <-r.done:
	case <-ctx.Done():
		return sinks.Receipt{}, fmt.Errorf("adding to a stream of %s: %w", s.target, context.Cause(ctx))
	}
	if r.err != nil {
		return sinks.Receipt{}, r.err
	}
	return sinks.Receipt{Detail: r.detail}, nil
}

// entry is what one delivery adds. The message is to be released, unless there is
// an error.
func (s *Sink) entry(d *sinks.Delivery) (*queue.Message, *redis.XAddArgs, error) {
	stream, err := s.stream.Fill(d, nil)
	switch {
	case err != nil:
		return nil, nil, sinks.Permanent(fmt.Errorf("making the stream's name of this mail: %w", err))
	case stream == "" || len(stream) > longestKey:
		return nil, nil, sinks.Permanent(fmt.Errorf("what this mail gives for the stream's name has %d octets, and not 1 to %d", len(stream), longestKey))
	}
	m, err := s.maker.Make(d, s.limit.Load())
	if err != nil {
		return nil, nil, err
	}
	values := []any{"id", m.ID, "body", m.Body}
	if !s.json {
		values = append(values, "content-type", m.ContentType)
	}
	for _, f := range m.Header {
		values = append(values, f.Name, f.Value)
	}
	a := &redis.XAddArgs{Stream: stream, Values: values, MaxLen: s.options.MaxLen, Approx: true}
	if s.options.MaxAge > 0 {
		a.MinID = fmt.Sprint(s.clock.Now().Add(-s.options.MaxAge).UnixMilli())
	}
	return m, a, nil
}

// Close implements sinks.Sink: it waits for the deliveries under way.
func (s *Sink) Close() error {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	for _, l := range s.lanes {
		l.Close() // what nobody waits for any more is cut short
	}
	s.batches.wait()
	return nil
}

// Format implements fmt.Formatter: under every verb a Sink is its name and server,
// so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "redis %s to %s", s.name, s.target) }

// send sends a batch in one pipeline and tells each request what became of it.
func (s *Sink) send(lane int, batch []*request) {
	to := s.lanes[lane]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := giveUp(batch, cancel)
	c, err := to.Use(ctx)
	stop()
	if err != nil {
		fail(batch, s.unconnected(ctx, err))
		return
	}
	size := int64(0)
	for _, r := range batch {
		size += int64(len(r.message.Body))
	}
	wait := s.options.Wait
	limited, cancelLimited := context.WithTimeout(context.Background(), s.options.Options.Wait(size)+wait.timeout())
	defer cancelLimited()
	added, confirm := make([]*redis.StringCmd, len(batch)), confirmation{}
	pipe := c.client.Pipeline()
	for i, r := range batch {
		added[i] = pipe.XAdd(limited, r.entry)
	}
	confirm.ask(limited, pipe, wait)
	_, err = pipe.Exec(limited)
	var said redis.Error
	if err == nil || errors.As(err, &said) && !isLast(said) {
		to.Worked()
	} else {
		to.Broken(c)
	}
	for i, r := range batch {
		id, err := added[i].Result()
		if err == nil {
			r.detail, err = confirm.of(id, wait)
		}
		if err != nil {
			err = s.grade(err)
		}
		r.finish(err)
	}
}

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
)
