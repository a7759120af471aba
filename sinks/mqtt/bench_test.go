package mqtt

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// BenchmarkDeliver is one message of QoS 1 and 4 KB for each mail, 8 at once, to a
// Mosquitto with one subscriber of QoS 0; beside it paho.golang publishes the same
// octets from as many goroutines, on one connection as well.
func BenchmarkDeliver(b *testing.B) {
	server := mailtest.StartMosquitto(b)
	rendered, err := payload.Renderer{}.Render(sinktest.Delivery(b, 1, sinktest.Numbered(1)))
	if err != nil {
		b.Fatal(err)
	}
	octets, _ := rendered.ReadAll()
	connect := func() *paho.Client {
		conn, err := net.Dial("tcp", server.Addr)
		if err != nil {
			b.Fatal(err)
		}
		c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn), PacketTimeout: time.Minute})
		if _, err := c.Connect(b.Context(), &paho.Connect{
			CleanStart: true, KeepAlive: 60, Username: mailtest.MosquittoUser, UsernameFlag: true, Password: []byte(mailtest.MosquittoPassword), PasswordFlag: true,
		}); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Disconnect(&paho.Disconnect{}) })
		return c
	}
	reader, peer := connect(), connect()
	if _, err := reader.Subscribe(b.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "#"}}}); err != nil {
		b.Fatal(err)
	}
	sinktest.Bench(b, makeSink(b, options(server.Addr, "mail")), 8, func() error {
		_, err := peer.Publish(context.Background(), &paho.Publish{QoS: 1, Topic: "peer", Payload: octets})
		return err
	})
}
