// A subscriber: go run ./consumer (MQTT_ADDR, MQTT_USER and MQTT_PASSWORD are set).
// Its session lasts a day, so that what comes while it is away waits for it.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/eclipse/paho.golang/paho"
)

func main() {
	conn, err := net.Dial("tcp", os.Getenv("MQTT_ADDR"))
	if err != nil {
		log.Fatal(err)
	}
	done := map[string]bool{} // keep it where your work is kept
	client := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(m paho.PublishReceived) (bool, error) { // once it returns, the broker forgets the message
			id := m.Packet.Properties.User.Get("id") // the same for a mail that comes twice
			if !done[id] {
				fmt.Println(string(m.Packet.Payload)) // the work
				done[id] = true
			}
			return true, nil
		},
	}})
	day := uint32(24 * 60 * 60)
	_, err = client.Connect(context.Background(), &paho.Connect{
		ClientID: "tickets", CleanStart: false, KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &day},
		Username: os.Getenv("MQTT_USER"), UsernameFlag: true, Password: []byte(os.Getenv("MQTT_PASSWORD")), PasswordFlag: true,
	})
	if err == nil {
		_, err = client.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "mail/#", QoS: 1}}})
	}
	if err != nil {
		log.Fatal(err)
	}
	log.Print("subscribed")
	<-client.Done()
}
