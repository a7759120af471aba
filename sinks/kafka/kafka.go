// Package kafka delivers mail into a topic of Kafka, or of what speaks its protocol:
// one record for each delivery, with the delivery's id in its header.
//
// A delivery is acknowledged when the partition's leader has answered for all
// replicas that are in sync (acks=all). The producer is idempotent: what the library
// sends again after a broken connection is there once. What the dispatcher sends
// again, after a time limit or a restart, may be there twice, under the same id.
//
//	client.go  the connections, which the library keeps
//	grade.go   whose fault an error is
package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// The fields of a record's header that are postferry's.
const (
	headerID   = "postferry-id"
	headerType = "content-type"
)

// defaultSize is what a broker takes of one batch as Kafka comes, message.max.bytes,
// less a little, in octets.
const defaultSize = 1_000_012

// ownSize is what a record and its batch take beside key, header and body, at most.
const ownSize = 512

// Sink produces to one topic, or one made of each mail. It implements sinks.Sink,
// Previewer and Checker.
type Sink struct {
	name    string
	options Options
	brokers string // for messages
	secure  bool
	topic   *payload.Text
	key     *payload.Text
	maker   *queue.Maker
	mask    queue.Mask
	client  *kgo.Client

	// works says that the last record was confirmed; when it was not, a look at the
	// brokers comes before the next.
	works atomic.Bool

	delivering sync.RWMutex // held by every Deliver, and by Close to wait for them
	closed     bool         // under delivering
}

// New makes the sink of that name. It connects to nothing. Its errors say which
// option to change; they hold no secret.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	e = e.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{name: name, options: o, mask: queue.NewMask(o.Password.Reveal())}
	var err error
	if s.topic, err = payload.CompileText(o.Topic); err != nil {
		return nil, err
	}
	if s.key, err = payload.CompileText(o.Key); err != nil {
		return nil, err
	}
	if s.maker, err = queue.NewMaker(o.Options, r, e.Clock, headerID, headerType); err != nil {
		return nil, err
	}
	return s, s.connect(e)
}

// limit is how large a record may be, with its batch.
func (s *Sink) limit() int64 {
	if s.options.MaxSize > 0 {
		return min(int64(s.options.MaxSize), mostWritten-1<<20)
	}
	return defaultSize
}

var errClosed = errors.New("the sink is closed")

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if ctx.Err() != nil {
		return sinks.Receipt{}, context.Cause(ctx)
	}
	s.delivering.RLock()
	defer s.delivering.RUnlock()
	if s.closed {
		return sinks.Receipt{}, fmt.Errorf("producing to %s: %w", s.brokers, errClosed)
	}
	if !s.works.Load() {
		if err := s.reach(ctx); err != nil {
			return sinks.Receipt{}, s.unconnected(ctx, err)
		}
	}
	r, made, err := s.record(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	wait := s.options.Wait(int64(len(r.Value)))
	limited, cancel := context.WithTimeoutCause(ctx, wait, errNoAnswer)
	defer cancel()
	done := make(chan error, 1)
	s.client.Produce(limited, r, func(_ *kgo.Record, err error) {
		made.Release()
		done <- err
	})
	select {
	case err = <-done:
	case <-limited.Done():
		err = context.Cause(limited)
	}
	if err != nil {
		s.works.Store(false)
		return sinks.Receipt{}, s.graded(ctx, limited, r.Topic, wait, err)
	}
	s.works.Store(true)
	return sinks.Receipt{Detail: fmt.Sprintf("topic %s, partition %d, offset %d", r.Topic, r.Partition, r.Offset)}, nil
}

// record is what is produced of a delivery.
func (s *Sink) record(d *sinks.Delivery) (*kgo.Record, *queue.Message, error) {
	topic, err := s.topic.Fill(d, word)
	if err == nil {
		err = checkTopic(topic)
	}
	if err != nil {
		return nil, nil, sinks.Permanent(fmt.Errorf("making the topic of this mail: %w", err))
	}
	r := &kgo.Record{Topic: topic}
	if s.options.Key != "" {
		key, err := s.key.Fill(d, queue.Value)
		if err != nil {
			return nil, nil, sinks.Permanent(fmt.Errorf("making the key of this mail: %w", err))
		}
		r.Key = []byte(key)
	}
	made, err := s.maker.Make(d, max(1, s.limit()-ownSize-int64(len(r.Key))))
	if err != nil {
		return nil, nil, err
	}
	r.Value = made.Body
	r.Headers = []kgo.RecordHeader{{Key: headerID, Value: []byte(made.ID)}, {Key: headerType, Value: []byte(made.ContentType)}}
	for _, f := range made.Header {
		name := f.Name
		if rest, ok := strings.CutPrefix(name, "ce-"); ok { // Kafka protocol binding of CloudEvents 1.0.2, section 3.2.3
			name = "ce_" + rest
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(f.Value)})
	}
	return r, made, nil
}

// Format implements fmt.Formatter: under every verb a Sink is its name and brokers,
// so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "kafka %s to %s", s.name, s.brokers) }

// Close implements sinks.Sink. It waits for the confirmations of what is under way.
func (s *Sink) Close() error {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	s.closed = true
	s.client.Close()
	return nil
}

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
)
