package mqtt

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/queue"
)

// Options are the keys of a sink of type mqtt, beside those every sink has.
type Options struct {
	queue.Options
	URL           string        `config:"url,required" doc:"The broker: mqtt://host:1883, or mqtts://host:8883 for TLS. A user and password in it sign in."`
	Insecure      bool          `config:"insecure" doc:"true: talk in clear text to an mqtt:// url on another machine. To this machine itself it is always allowed."`
	Username      string        `config:"username" doc:"User name."`
	Password      secret.Secret `config:"password" doc:"Password."`
	TLS           config.TLS    `config:"tls" doc:"Whom to trust, and the client's certificate."`
	ClientID      string        `config:"client_id" doc:"The client's name, which no other may use at the same time. The broker gives one unless set."`
	Topic         string        `config:"topic,raw,required" doc:"The topic to publish under. It may have holes, mail/{{ mailbox.name }} (docs/templates.md): what a mail says stays within its level."`
	Retain        bool          `config:"retain" doc:"true: the broker keeps the last message of a topic for those who subscribe later."`
	Expiry        time.Duration `config:"expiry" doc:"How long the broker keeps a message for subscribers that are away, if they have not got it. Without it, as long as their sessions last."`
	NoSubscribers string        `config:"no_subscribers" enum:"fail,accept" doc:"A broker that says that nobody has subscribed keeps nothing of the message. fail: then it is not delivered, and the sink waits for a subscriber (unless retain); accept: it is."`
	KeepAlive     time.Duration `config:"keep_alive" doc:"Between signs of life on a connection where nothing is published."`
}

// The values of Options.NoSubscribers.
const (
	Fail   = "fail"
	Accept = "accept"
)

// DefaultKeepAlive is between signs of life.
const DefaultKeepAlive = 30 * time.Second

// SetDefaults sets what holds when the file says nothing.
func (o *Options) SetDefaults() {
	o.Options.SetDefaults()
	o.NoSubscribers, o.KeepAlive = Fail, DefaultKeepAlive
}

func (o *Options) keepAlive() uint16 {
	if o.KeepAlive == 0 {
		return uint16(DefaultKeepAlive / time.Second)
	}
	return uint16(o.KeepAlive / time.Second)
}

// Validate refuses options that contradict one another, and compiles what has holes.
func (o *Options) Validate() error {
	if err := o.Options.Validate(); err != nil {
		return err
	}
	if _, err := o.target(); err != nil {
		return err
	}
	if _, err := compileTopic(o.Topic); err != nil {
		return err
	}
	switch {
	case o.NoSubscribers != "" && o.NoSubscribers != Fail && o.NoSubscribers != Accept:
		return config.At("no_subscribers", fmt.Errorf("%q is not %s or %s", o.NoSubscribers, Fail, Accept))
	case o.Expiry != 0 && (o.Expiry < time.Second || o.Expiry/time.Second > math.MaxUint32):
		return config.At("expiry", errors.New("is not between 1s and 136 years"))
	case o.KeepAlive != 0 && (o.KeepAlive < time.Second || o.KeepAlive/time.Second > math.MaxUint16):
		return config.At("keep_alive", errors.New("is not between 1s and 18h"))
	}
	return nil
}

// protocol is MQTT with the ports IANA has for it.
var protocol = queue.Protocol{Name: "mqtt", Port: "1883", SecurePort: "8883"}

// target reads the url. Its errors do not repeat it.
func (o *Options) target() (queue.Broker, error) {
	at := func(text string) (queue.Broker, error) {
		return queue.Broker{}, config.At("url", errors.New(text))
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return at("cannot be read: write mqtt://host:1883")
	}
	b, err := protocol.Broker(u, queue.Access{Insecure: o.Insecure, Username: o.Username, Password: o.Password, TLS: o.TLS})
	if err == nil && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
		return at("must end after the host and port: the topic is a key of its own")
	}
	return b, err
}
