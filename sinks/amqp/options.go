package amqp

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Options are the keys of a sink of type amqp, beside those every sink has.
type Options struct {
	queue.Options
	URL        string        `config:"url,required" doc:"The broker: amqp://host:5672/vhost, amqps:// for TLS; without a vhost it is /. A user and password in it sign in, guest and guest unless set."`
	Insecure   bool          `config:"insecure" doc:"true: talk in clear text to an amqp:// url on another machine. To this machine itself it is always allowed."`
	Username   string        `config:"username" doc:"User name."`
	Password   secret.Secret `config:"password" doc:"Password. With tls.client_cert and no user the broker takes the certificate's (EXTERNAL)."`
	TLS        config.TLS    `config:"tls" doc:"Whom to trust, and the client's certificate."`
	Exchange   string        `config:"exchange,raw" doc:"The exchange to publish to, which has to be there; empty is the default exchange, whose routing key is the name of a queue. It may have holes."`
	RoutingKey string        `config:"routing_key,raw" doc:"The routing key. It may have holes, mail.{{ mailbox.name }} (docs/templates.md). A message that it brings into no queue is not delivered."`
	Heartbeat  time.Duration `config:"heartbeat" doc:"Between signs of life on a connection; a broker that gives none for three of them is gone."`
}

// DefaultHeartbeat is between signs of life.
const DefaultHeartbeat = 10 * time.Second

// SetDefaults sets what holds when the file says nothing.
func (o *Options) SetDefaults() { o.Options.SetDefaults(); o.Heartbeat = DefaultHeartbeat }

// Validate refuses options that contradict one another, and compiles what has holes.
func (o *Options) Validate() error {
	if err := o.Options.Validate(); err != nil {
		return err
	}
	if _, err := o.target(); err != nil {
		return err
	}
	for key, source := range map[string]string{"exchange": o.Exchange, "routing_key": o.RoutingKey} {
		text, err := payload.CompileText(source)
		if err != nil {
			return config.At(key, err)
		}
		if text.Fixed() && len(source) > longestName {
			return config.At(key, errors.New("has more than 255 octets"))
		}
	}
	switch {
	case o.Exchange == "" && o.RoutingKey == "":
		return config.At("routing_key", errors.New("is missing: the name of a queue, or name an exchange"))
	case o.Heartbeat != 0 && (o.Heartbeat < time.Second || o.Heartbeat > time.Hour):
		return config.At("heartbeat", errors.New("is not between 1s and 1h"))
	}
	return nil
}

// protocol is AMQP 0-9-1 with its ports (RabbitMQ, URI specification).
var protocol = queue.Protocol{Name: "amqp", Port: "5672", SecurePort: "5671", Path: "/vhost"}

// target is a broker and who signs in where.
type target struct {
	queue.Broker
	vhost    string
	external bool // the client's certificate signs in
}

// target reads the url. Its errors do not repeat it.
func (o *Options) target() (target, error) {
	at := func(text string) (target, error) { return target{}, config.At("url", errors.New(text)) }
	u, err := url.Parse(o.URL)
	if err != nil {
		return at("cannot be read: write amqp://host:5672/vhost, with %2F for a / in the name of the vhost")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return at("has parameters: write them as keys of the sink, tls, heartbeat, timeout")
	}
	t := target{vhost: cmp.Or(strings.TrimPrefix(u.Path, "/"), "/")}
	if t.Broker, err = protocol.Broker(u, queue.Access{Insecure: o.Insecure, Username: o.Username, Password: o.Password, TLS: o.TLS}); err != nil {
		return target{}, err
	}
	t.external = t.Username == "" && t.TLS != nil && len(t.TLS.Certificates) > 0
	if t.Username == "" && t.Password.IsZero() && !t.external {
		t.Username, t.Password = "guest", secret.New("guest")
	}
	return t, nil
}
