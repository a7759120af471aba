package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
)

const (
	// connectTimeout bounds name, connection, TLS and sign-in.
	connectTimeout = 10 * time.Second
	// mostBuffered bounds what waits in the library: more deliveries at once than a
	// sink may have.
	mostBuffered = 4096
	// mostWritten is the largest request the library makes, in octets.
	mostWritten = 1 << 30
	// unknownTopicTries is how often a topic that is not there is looked for again.
	unknownTopicTries = 1
)

// pauses are before the library connects or asks again.
var pauses = backoff.Schedule{Steps: []time.Duration{0, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second}}

// connect makes the client, which connects when it is asked for something.
func (s *Sink) connect(e sinks.Env) error {
	var addresses []string
	for _, b := range s.options.Brokers {
		at, err := address(b)
		if err != nil {
			return err
		}
		addresses = append(addresses, at)
	}
	s.brokers = strings.Join(addresses, ",")
	secure, err := s.options.tls()
	if err != nil {
		return err
	}
	mechanism, err := s.options.mechanism()
	if err != nil {
		return err
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(addresses...), kgo.ClientID("postferry"), kgo.SoftwareNameAndVersion("postferry", e.Version), kgo.DisableClientMetrics(),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.AllowIdempotentProduceCancellation(), kgo.UnknownTopicRetries(unknownTopicTries),
		kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(int32(s.limit())), kgo.BrokerMaxWriteBytes(mostWritten),
		kgo.MaxBufferedRecords(mostBuffered), kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.RetryBackoffFn(func(try int) time.Duration { return pauses.Wait(try, rand.Float64) }),
	}
	if mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	if s.secure = secure != nil; s.secure {
		options = append(options, kgo.DialTLSConfig(secure), kgo.DialTimeout(connectTimeout))
	} else {
		options = append(options, kgo.Dialer(s.dialClear))
	}
	s.client, err = kgo.NewClient(options...)
	if err != nil {
		return fmt.Errorf("making a Kafka client: %s", s.clean(err))
	}
	return nil
}

// dialClear connects without TLS, and to no other machine unless that is allowed: a
// broker may tell of others.
func (s *Sink) dialClear(ctx context.Context, network, at string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(at)
	if err == nil && !s.options.Insecure && !dial.IsLoopback(host) {
		err = fmt.Errorf("the broker sends us to %s, another machine, where mail would go in clear text: set tls, or insecure: true", at)
	}
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext(ctx, network, at)
}

// reach asks the first broker that answers who is in the cluster.
func (s *Sink) reach(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no broker answered within %s", connectTimeout))
	defer cancel()
	err := s.client.Ping(limited)
	if err != nil && limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}
