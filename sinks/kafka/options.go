package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Options are the keys of a sink of type kafka, beside those every sink has.
type Options struct {
	Brokers  []string      `config:"brokers,required" doc:"Some of the cluster's brokers: [kafka1.example.com:9092]. The others are learned from them."`
	Topic    string        `config:"topic,raw,required" doc:"Where to produce; it has to be there. It may have holes, mail-{{ mailbox.name }} (docs/templates.md)."`
	Key      string        `config:"key,raw" doc:"The record's key, by which Kafka chooses the partition and keeps the order, with holes: {{ message.thread.key }}, or {{ mailbox.name }}. Without it records have no key."`
	Auth     string        `config:"auth" enum:"plain,scram-sha-256,scram-sha-512" doc:"How username and password are shown (SASL); plain unless set."`
	Username string        `config:"username" doc:"User name."`
	Password secret.Secret `config:"password" doc:"Password."`
	Insecure bool          `config:"insecure" doc:"true: talk in clear text to brokers on other machines. Otherwise to those it is always TLS, and to this machine itself where tls is set."`
	TLS      *config.TLS   `config:"tls" doc:"Whom to trust, and the client's certificate."`
	queue.Options
}

// Validate refuses options that cannot be meant.
func (o *Options) Validate() error {
	if len(o.Brokers) == 0 {
		return config.At("brokers", errors.New("it names no broker: [kafka1.example.com:9092]"))
	}
	for i, b := range o.Brokers {
		if _, err := address(b); err != nil {
			return config.At(fmt.Sprintf("brokers[%d]", i), err)
		}
	}
	switch {
	case o.Insecure && o.TLS != nil:
		return config.At("insecure", errors.New("tls is set: keep one of them"))
	case o.Username == "" && (!o.Password.IsZero() || o.Auth != ""):
		return config.At("username", errors.New("it is missing beside password or auth"))
	}
	if _, err := o.mechanism(); err != nil {
		return err
	}
	text, err := payload.CompileText(o.Topic)
	if err == nil {
		err = checkTopic(text.With(func(int) string { return "x" }))
	}
	if err != nil {
		return config.At("topic", err)
	}
	if _, err := payload.CompileText(o.Key); err != nil {
		return config.At("key", err)
	}
	return nil
}

// address is host:port of a broker; the port is 9092 unless said.
func address(broker string) (string, error) {
	host, port, err := net.SplitHostPort(broker)
	if err != nil {
		host, port = strings.Trim(broker, "[]"), "9092"
	}
	if host == "" || strings.ContainsAny(host, "/@ \t\r\n") || port == "" {
		return "", fmt.Errorf("%q is not host:port", dial.Printable(broker))
	}
	return net.JoinHostPort(host, port), nil
}

// mechanism is how to sign in; nil for not at all.
func (o *Options) mechanism() (sasl.Mechanism, error) {
	if o.Username == "" {
		return nil, nil
	}
	switch o.Auth {
	case "", "plain":
		return plain.Auth{User: o.Username, Pass: o.Password.Reveal()}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: o.Username, Pass: o.Password.Reveal()}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: o.Username, Pass: o.Password.Reveal()}.AsSha512Mechanism(), nil
	}
	return nil, config.At("auth", fmt.Errorf("%q is not plain, scram-sha-256 or scram-sha-512", o.Auth))
}

// tls is the configuration for all brokers, the library fills in whom it talks to;
// nil for clear text.
func (o *Options) tls() (*tls.Config, error) {
	remote := false
	for _, b := range o.Brokers {
		at, err := address(b)
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(at)
		remote = remote || !dial.IsLoopback(host)
	}
	if o.Insecure || o.TLS == nil && !remote {
		return nil, nil
	}
	var t config.TLS
	if o.TLS != nil {
		t = *o.TLS
	}
	c, err := dial.TLS(t).Config("")
	if err != nil {
		return nil, err
	}
	c.ServerName = t.ServerName
	return c, nil
}

const (
	longestTopic = 249 // octets, as Kafka has it
	longestWord  = 100 // of a mail in one hole of a topic
)

// word is a text of a mail in the characters of a topic: any other becomes _.
func word(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), longestWord)], "_")
	s = strings.Map(func(r rune) rune {
		if isTopicRune(r) && r != '.' {
			return r
		}
		return '_'
	}, s)
	if s == "" {
		return "_"
	}
	return s
}

func isTopicRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-'
}

// checkTopic refuses what Kafka does (org.apache.kafka.common.internals.Topic).
func checkTopic(topic string) error {
	switch {
	case topic == "", topic == ".", topic == "..":
		return fmt.Errorf("%q is no topic", topic)
	case len(topic) > longestTopic:
		return fmt.Errorf("the topic has %d octets, more than %d", len(topic), longestTopic)
	case strings.HasPrefix(topic, "__"):
		return fmt.Errorf("topic %q is Kafka's own", dial.Printable(topic))
	case strings.ContainsFunc(topic, func(r rune) bool { return !isTopicRune(r) }):
		return fmt.Errorf("topic %q has other characters than letters, digits, dots, - and _", dial.Printable(topic))
	}
	return nil
}
