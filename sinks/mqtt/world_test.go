package mqtt

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"go.uber.org/goleak"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options of a sink at an address, for the user who may do everything.
func options(addr, topic string) Options {
	return Options{URL: (&url.URL{Scheme: "mqtt", User: url.UserPassword(mailtest.MosquittoUser, mailtest.MosquittoPassword), Host: addr}).String(), Topic: topic}
}

func makeSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New("broker", o, payload.Renderer{}, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func deliver(t testing.TB, s *Sink, n int) error {
	t.Helper()
	_, err := s.Deliver(t.Context(), sinktest.Delivery(t, n, sinktest.Mail))
	return err
}

// subscriber gets what is published, in a session that lasts.
type subscriber struct {
	t      testing.TB
	client *paho.Client

	mu   sync.Mutex
	got  []*paho.Publish
	news chan struct{}
}

var names atomic.Int64

// newName is a topic, or a client, that nothing has yet.
func newName() string { return fmt.Sprintf("t%d", names.Add(1)) }

// attach begins the session of a subscriber, or goes on with it. One that began with
// CleanStart Mosquitto would not keep on its disk.
func attach(t testing.TB, addr, client string) *subscriber {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &subscriber{t: t, news: make(chan struct{})}
	s.client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: time.Minute,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got = append(s.got, p.Packet)
			close(s.news)
			s.news = make(chan struct{})
			return true, nil
		}},
		OnClientError: func(error) {}, OnServerDisconnect: func(*paho.Disconnect) {},
	})
	lasts := uint32(3600)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.client.Connect(ctx, &paho.Connect{
		ClientID: client, CleanStart: false, KeepAlive: 60, Properties: &paho.ConnectProperties{SessionExpiryInterval: &lasts},
		Username: mailtest.MosquittoUser, UsernameFlag: true, Password: []byte(mailtest.MosquittoPassword), PasswordFlag: true,
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.detach)
	return s
}

// detach leaves; what is published meanwhile waits in the session.
func (s *subscriber) detach() {
	select {
	case <-s.client.Done():
	default:
		s.client.Disconnect(&paho.Disconnect{})
	}
}

func (s *subscriber) subscribe(topic string) {
	s.t.Helper()
	if _, err := s.client.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *subscriber) unsubscribe(topic string) {
	s.t.Helper()
	if _, err := s.client.Unsubscribe(context.Background(), &paho.Unsubscribe{Topics: []string{topic}}); err != nil {
		s.t.Fatal(err)
	}
}

// all is what has come under other topics than those of the asking itself: a message
// published now comes after all that were before it.
func (s *subscriber) all() (messages []*paho.Publish) {
	s.t.Helper()
	end := "end/" + newName()
	s.subscribe(end)
	if _, err := s.client.Publish(context.Background(), &paho.Publish{QoS: 1, Topic: end}); err != nil {
		s.t.Fatal(err)
	}
	late := time.After(time.Minute)
	for {
		s.mu.Lock()
		got, news := append([]*paho.Publish(nil), s.got...), s.news
		s.mu.Unlock()
		messages = nil
		for _, m := range got {
			if m.Topic == end {
				return messages
			}
			if len(m.Topic) < 4 || m.Topic[:4] != "end/" {
				messages = append(messages, m)
			}
		}
		select {
		case <-news:
		case <-late:
			s.t.Fatal("the end does not come")
		}
	}
}

// counted is how often each id has come.
func (s *subscriber) counted() map[string]int {
	count := map[string]int{}
	for _, m := range s.all() {
		count[m.Properties.User.Get("id")]++
	}
	return count
}
