// Package kafkad is a Kafka broker for tests, on loopback: kfake, which speaks the
// protocol with files of its own beside it, behind connections that can be broken
// and silenced.
package kafkad

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Broker is one broker. What it has confirmed is on disk.
type Broker struct {
	Addr string // 127.0.0.1:port
	*kfake.Cluster

	options []kfake.Opt

	mu      sync.Mutex
	change  *sync.Cond
	conns   map[*conn]bool
	silent  bool
	entered func()
}

// Start starts a broker with the given topics, of one partition each, and ends it
// when the test does.
func Start(t testing.TB, topics []string, options ...kfake.Opt) *Broker {
	t.Helper()
	b := &Broker{conns: map[*conn]bool{}, options: append([]kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(t.TempDir()), kfake.SyncWrites()}, options...)}
	b.change = sync.NewCond(&b.mu)
	b.start(t, kfake.SeedTopics(1, topics...))
	b.Addr = b.ListenAddrs()[0]
	t.Cleanup(b.Stop)
	return b
}

func (b *Broker) start(t testing.TB, more ...kfake.Opt) {
	t.Helper()
	c, err := kfake.NewCluster(append(append(more, kfake.ListenFn(b.listen)), b.options...)...)
	if err != nil {
		t.Fatal(err)
	}
	b.Cluster = c
}

// Stop ends the broker and every connection to it.
func (b *Broker) Stop() {
	b.Open()
	b.Cut()
	b.Close()
}

// Again starts the broker where it was, with what it has.
func (b *Broker) Again(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	b.start(t, kfake.Ports(n))
}

// Cut breaks every connection.
func (b *Broker) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Conn.Close()
	}
}

// Silence lets nothing out that the broker says, until Open. entered is called once
// when a client has said something.
func (b *Broker) Silence(entered func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent, b.entered = true, entered
}

// Open lets everything out again.
func (b *Broker) Open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent, b.entered = false, nil
	b.change.Broadcast()
}

// Records are all of a topic's partition 0.
func (b *Broker) Records(t testing.TB, topic string, options ...kgo.Opt) []*kgo.Record {
	t.Helper()
	ctx := context.Background()
	info := b.PartitionInfo(topic, 0)
	if info == nil {
		t.Fatalf("no topic %s", topic)
	}
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(b.Addr), kgo.FetchMaxBytes(64<<20), kgo.FetchMaxPartitionBytes(64<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []*kgo.Record
	for int64(len(all)) < info.HighWatermark {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			t.Fatal(fmt.Errorf("reading topic %s: %w", topic, err))
		}
		all = append(all, fetched.Records()...)
	}
	return all
}

func (b *Broker) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &listener{l, b}, err
}

type listener struct {
	net.Listener
	b *Broker
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{inner, l.b}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.conns[c] = true
	return c, nil
}

// conn is a connection as the broker has it.
type conn struct {
	net.Conn
	b *Broker
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.b.mu.Lock()
	entered := c.b.entered
	if n > 0 {
		c.b.entered = nil
	}
	c.b.mu.Unlock()
	if n > 0 && entered != nil {
		entered()
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	c.b.mu.Lock()
	for c.b.silent {
		c.b.change.Wait()
	}
	c.b.mu.Unlock()
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.b.mu.Lock()
	delete(c.b.conns, c)
	c.b.mu.Unlock()
	return c.Conn.Close()
}
