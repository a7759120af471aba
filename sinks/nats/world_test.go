package nats

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password = "a-password-of-nats"
	signIn   = `authorization { user: ferry, password: "` + password + `" }`
)

// stream is the test's own view of a stream MAIL that takes mail.>.
type stream struct {
	t    testing.TB
	conn *nats.Conn
	js   jetstream.JetStream
	seen []*jetstream.RawStreamMsg // what all has read
}

func newStream(t testing.TB, n *mailtest.NATS, options ...nats.Option) *stream {
	t.Helper()
	s := &stream{t: t}
	s.connect(n, options...)
	s.set(func(*jetstream.StreamConfig) {})
	return s
}

func (s *stream) connect(n *mailtest.NATS, options ...nats.Option) {
	s.t.Helper()
	closed := make(chan struct{})
	conn, err := nats.Connect(n.URL, append(options, nats.MaxReconnects(-1), nats.ReconnectWait(1e7), nats.ReconnectBufSize(-1),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	must(s.t, err)
	s.t.Cleanup(func() { conn.Close(); <-closed })
	s.conn = conn
	s.js, err = jetstream.New(conn)
	must(s.t, err)
}

// set makes the stream as the test wants it.
func (s *stream) set(change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	c := jetstream.StreamConfig{Name: "MAIL", Subjects: []string{"mail.>"}, MaxMsgSize: -1}
	change(&c)
	_, err := s.js.CreateOrUpdateStream(s.t.Context(), c)
	must(s.t, err)
}

// all are the messages of the stream, in order. It waits for a server that is
// starting.
func (s *stream) all() []*jetstream.RawStreamMsg {
	s.t.Helper()
	ctx := context.Background()
	var at jetstream.Stream
	for err := errors.New("not asked yet"); err != nil; {
		if s.t.Context().Err() != nil {
			s.t.Fatal(err)
		}
		at, err = s.js.Stream(ctx, "MAIL")
	}
	info, err := at.Info(ctx)
	must(s.t, err)
	for n := uint64(len(s.seen)) + 1; n <= info.State.LastSeq; n++ {
		m, err := at.GetMsg(ctx, n)
		must(s.t, err)
		s.seen = append(s.seen, m)
	}
	return s.seen
}

// stored are the bodies under a delivery's id.
func (s *stream) stored(id string) (bodies [][]byte) {
	for _, m := range s.all() {
		if m.Header.Get("Nats-Msg-Id") == id {
			bodies = append(bodies, m.Data)
		}
	}
	return bodies
}

func makeSink(t testing.TB, o Options, r payload.Renderer) *Sink {
	t.Helper()
	s, err := New("pager", o, r, sinks.Env{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func deliver(t testing.TB, s *Sink, raw string) (sinks.Receipt, error) {
	t.Helper()
	return s.Deliver(t.Context(), sinktest.Delivery(t, 1, raw))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func options(url string) Options { return Options{URL: secret.New(url), Subject: "mail.in"} }

func TestNATSIsASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		n := mailtest.StartNATS(t, signIn, "max_payload: 8MB")
		at := newStream(t, n, nats.UserInfo("ferry", password))
		gate := mailtest.NewGate(t, n.Addr)
		make := func(addr, password string) sinks.Sink {
			s, err := New("pager", options("nats://ferry:"+password+"@"+addr), payload.Renderer{}, sinks.Env{})
			must(t, err)
			return s
		}
		sink := make(gate.Addr, password)
		return sinktest.Fixture{
			Sink: sink, Dead: make("127.0.0.1:1", password), Denied: make(n.Addr, "another-password"), CheckSignsIn: true, Once: true,
			Stored: func(_ testing.TB, id string) [][]byte { return at.stored(id) },
			Refuse: func(testing.TB) { at.set(func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere"} }) },
			Accept: func(testing.TB) { at.set(func(*jetstream.StreamConfig) {}) },
			Hang: func(t testing.TB, entered func()) { // once there is a connection
				_, err := sink.Deliver(t.Context(), sinktest.Delivery(t, 99, sinktest.Mail))
				must(t, err)
				gate.Silence(entered)
			},
			Restart: n.Restart,
			Large: func(t testing.TB) string {
				at.set(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 5000 })
				return "Subject: large\r\n\r\n" + strings.Repeat("x", 10_000)
			},
			Secrets: []string{password, "another-password"},
		}
	})
}
