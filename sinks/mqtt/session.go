package mqtt

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/postferry/postferry/internal/dial"
)

// connectTimeout bounds name, connection and TLS, and then the sign-in.
const connectTimeout = 15 * time.Second

// session is one connection, with what the broker allows on it. It begins clean and
// ends with its connection: what was in flight then is not acknowledged, and given
// again by the dispatcher alone.
type session struct {
	wire   *dial.Conn
	client *paho.Client
	allows paho.ConnackProperties
	said   atomic.Pointer[paho.Disconnect] // the broker's farewell

	alive context.Context // ends with the connection, which the library tells no publisher
	watch sync.WaitGroup
}

// refusedError is a broker's no to a connection (CONNACK).
type refusedError struct {
	code   byte
	reason string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the broker refuses: %s", words(e.code, e.reason))
}

// connect connects and signs in.
func (s *Sink) connect(ctx context.Context) (*session, error) {
	wire, err := s.target.Dial(ctx, connectTimeout, s.options.Options.Wait(0)) // the pinger sees to its end
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	stop := context.AfterFunc(limited, func() { wire.Close() })
	defer stop()
	c := &session{wire: wire}
	c.client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(wire), PacketTimeout: time.Hour, // contexts are shorter
		OnServerDisconnect: func(d *paho.Disconnect) { c.said.Store(d) },
		OnClientError:      func(error) {},
	})
	hello := &paho.Connect{
		ClientID: s.options.ClientID, KeepAlive: s.options.keepAlive(), CleanStart: true,
		Username: s.target.Username, UsernameFlag: s.target.Username != "",
		Password: []byte(s.target.Password.Reveal()), PasswordFlag: !s.target.Password.IsZero(),
	}
	answer, err := c.client.Connect(limited, hello)
	switch {
	case answer != nil && answer.ReasonCode >= 0x80:
		wire.Close()
		refused := &refusedError{code: answer.ReasonCode}
		if answer.Properties != nil {
			refused.reason = answer.Properties.ReasonString
		}
		return nil, refused
	case limited.Err() != nil:
		err = fmt.Errorf("the broker does not answer: %w", context.Cause(limited))
	}
	if err != nil {
		wire.Close()
		if answer != nil && answer.ReasonCode == 0 {
			<-c.client.Done()
		}
		return nil, err
	}
	if answer.Properties != nil {
		c.allows = *answer.Properties
	}
	alive, end := context.WithCancel(context.Background())
	c.alive = alive
	c.watch.Go(func() {
		<-c.client.Done()
		end()
	})
	return c, nil
}

const (
	// largestPacket is the largest there is (MQTT 5, section 1.5.5), with its fixed
	// header.
	largestPacket = 268_435_455 + 5
	// overhead is what a PUBLISH has beside topic, properties that are texts, and
	// payload: the fixed header, lengths, the packet identifier and the other properties.
	overhead = 64
)

// limit is how large a message under that topic may be.
func (c *session) limit(topic string) int64 {
	n := int64(largestPacket)
	if m := c.allows.MaximumPacketSize; m != nil {
		n = min(n, int64(*m))
	}
	return max(1, n-int64(len(topic))-overhead)
}

// isOver tells whether the connection is lost.
func (c *session) isOver() bool { return c.alive.Err() != nil }

// closing bounds the farewell.
const closing = 2 * time.Second

// close takes the session apart, and returns when nothing of it runs any more.
func (c *session) close() {
	c.wire.SetDeadline(time.Now().Add(closing))
	select {
	case <-c.client.Done():
	default:
		_ = c.client.Disconnect(&paho.Disconnect{ReasonCode: 0}) // what it cannot say, the end of the connection does
	}
	c.wire.Close()
	c.watch.Wait()
}
