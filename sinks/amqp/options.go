package amqp

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
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

// target is a broker and who signs in there.
type target struct {
	server   dial.Server
	tls      *tls.Config // nil: clear text
	vhost    string
	username string
	password secret.Secret
	external bool // the client's certificate signs in
}

// String names the broker, without secrets.
func (t target) String() string { return t.server.Address() }

// target reads the url, whose user it takes out. Its errors do not repeat it.
func (o *Options) target() (target, error) {
	at := func(text string) (target, error) { return target{}, config.At("url", errors.New(text)) }
	u, err := url.Parse(o.URL)
	if err != nil {
		return at("cannot be read: write amqp://host:5672/vhost, with %2F for a / in the name of the vhost")
	}
	t := target{username: o.Username, password: o.Password, vhost: "/"}
	switch {
	case u.Scheme != "amqp" && u.Scheme != "amqps":
		return at("must be amqp://host:5672/vhost or amqps://host:5671/vhost")
	case u.Hostname() == "":
		return at("has no host: write amqp://host:5672/vhost")
	case u.RawQuery != "" || u.Fragment != "":
		return at("has parameters: write them as keys of the sink, tls, heartbeat, timeout")
	case u.User != nil && (o.Username != "" || !o.Password.IsZero()):
		return at("has a user, and username or password is set: keep one of them")
	case u.User != nil:
		password, _ := u.User.Password()
		t.username, t.password = u.User.Username(), secret.New(password)
	}
	if name := strings.TrimPrefix(u.Path, "/"); name != "" {
		t.vhost = name
	}
	t.server = dial.Server{Scheme: u.Scheme, Host: u.Hostname(), Port: u.Port(), Mode: dial.Plain}
	if u.Scheme == "amqp" && !o.Insecure && !dial.IsLoopback(t.server.Host) {
		return at("is amqp:// to another machine, so mail and password would go in clear text: use amqps://, or set insecure: true")
	}
	if t.server.Port == "" {
		t.server.Port = map[string]string{"amqp": "5672", "amqps": "5671"}[u.Scheme]
	}
	if u.Scheme == "amqps" {
		t.server.Mode = dial.Implicit
		if t.tls, err = dial.TLS(o.TLS).Config(t.server.Host); err != nil {
			return target{}, err
		}
		t.external = t.username == "" && len(t.tls.Certificates) > 0
	}
	if t.username == "" && t.password.IsZero() {
		t.username, t.password = "guest", secret.New("guest")
	}
	return t, nil
}
