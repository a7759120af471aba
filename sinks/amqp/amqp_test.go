package amqp

import (
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a RabbitMQ and a client of it.
type broker struct {
	*mailtest.RabbitMQ
}

// options of a sink to a queue, for the user who may do everything.
func options(addr, queue string) Options {
	return Options{URL: (&url.URL{Scheme: "amqp", User: url.UserPassword(mailtest.RabbitUser, mailtest.RabbitPassword), Host: addr}).String(), RoutingKey: queue}
}

func makeSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New("rabbit", o, payload.Renderer{}, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// with does something on a channel of its own.
func (b broker) with(t testing.TB, do func(*amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.DialConfig(options(b.Addr, "").URL, amqp.Config{Heartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := conn.Channel()
	if err == nil {
		err = do(c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var queues atomic.Int64

// name is one that nothing has yet.
func name() string { return fmt.Sprintf("q%d", queues.Add(1)) }

// queue declares a durable queue.
func (b broker) queue(t testing.TB, name string, args amqp.Table) string {
	t.Helper()
	b.with(t, func(c *amqp.Channel) error {
		_, err := c.QueueDeclare(name, true, false, false, false, args)
		return err
	})
	return name
}

func (b broker) deleteQueue(t testing.TB, name string) {
	t.Helper()
	b.with(t, func(c *amqp.Channel) error { _, err := c.QueueDelete(name, false, false, false); return err })
}

// count is how many messages are in a queue and not on their way to anybody.
func (b broker) count(t testing.TB, name string) (n int) {
	t.Helper()
	b.with(t, func(c *amqp.Channel) error {
		q, err := c.QueueDeclarePassive(name, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	return n
}

// messages are those in a queue, where they stay.
func (b broker) messages(t testing.TB, name string) (all []amqp.Delivery) {
	t.Helper()
	b.with(t, func(c *amqp.Channel) error {
		for {
			m, more, err := c.Get(name, false)
			if err != nil || !more {
				return err
			}
			all = append(all, m)
		}
	})
	return all
}

func deliver(t testing.TB, s *Sink, n int) error {
	t.Helper()
	_, err := s.Deliver(t.Context(), sinktest.Delivery(t, n, sinktest.Mail))
	return err
}

// One broker serves all of these, since it takes its time to start. What changes it
// for others comes first, one after the other; the rest run beside one another.
func TestWithRabbitMQ(t *testing.T) {
	b := broker{mailtest.StartRabbitMQ(t)}
	for _, fact := range []struct {
		name string
		test func(*testing.T, broker)
	}{
		{"a body of a size the broker does not take is a dead letter at once, until it takes more", tooLargeForIt},
		{"an alarm holds the sink and nothing counts as delivered", alarm},
		{"nothing is lost when the disk is full for a while", diskFull},
		{"nothing is lost when the broker is killed", killed},
	} {
		t.Run(fact.name, func(t *testing.T) { fact.test(t, b) })
	}
	for _, fact := range []struct {
		name string
		test func(*testing.T, broker)
	}{
		{"a queue is a sink", isASink},
		{"who may not sign in is the sink's fault and no secret is told", denied},
		{"a message has its properties and is persistent", properties},
		{"every way of reaching the broker works", reached},
		{"a message that no queue wants was not delivered", unroutable},
		{"among others only the message that no queue wants fails", oneUnroutable},
		{"a queue that is full refuses", full},
		{"an exchange that is not there is the sink's fault", noExchange},
		{"a lost confirmation is none", lostConfirmation},
		{"a connection lost between two mails costs no attempt", lostBetween},
		{"a mail whose names are too long is a dead letter", longNames},
		{"nothing is declared", nothingDeclared},
		{"the consumer of the example takes each mail once", consumer},
	} {
		t.Run(fact.name, func(t *testing.T) {
			t.Parallel()
			fact.test(t, b)
		})
	}
}

func isASink(t *testing.T, b broker) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		q := b.queue(t, name(), nil)
		gate := mailtest.NewGate(t, b.Addr)
		refused := options(gate.Addr, q)
		refused.URL = strings.Replace(refused.URL, mailtest.RabbitPassword, "another-password", 1)
		reset := func(t testing.TB) {
			b.Eval("application:set_env(rabbit, max_message_size, 134217728)")
			b.queue(t, q, nil)
		}
		sink := makeSink(t, options(gate.Addr, q))
		var seen []amqp.Delivery
		f := sinktest.Fixture{
			Sink: sink, Dead: makeSink(t, options("127.0.0.1:1", q)), CheckSignsIn: true,
			Stored: func(t testing.TB, id string) (all [][]byte) {
				b.queue(t, q, nil)
				if b.count(t, q) != len(seen) {
					seen = b.messages(t, q)
				}
				for _, m := range seen {
					if m.MessageId == id {
						all = append(all, m.Body)
					}
				}
				return all
			},
			Refuse: func(t testing.TB) {
				b.deleteQueue(t, q)
				seen = nil
			},
			Accept: reset,
			Hang:   func(_ testing.TB, entered func()) { gate.Silence(entered) },
			// The broker itself is killed where nothing is lost when it is.
			Restart: func(testing.TB) { gate.Cut() },
			Large: func(t testing.TB) string {
				b.Eval("application:set_env(rabbit, max_message_size, 100000)")
				if err := deliver(t, sink, 99); err != nil { // so that its connection has worked
					t.Fatal(err)
				}
				return "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 10_000)
			},
			Secrets: []string{mailtest.RabbitPassword},
		}
		// RabbitMQ takes three seconds to refuse; that it tells no secret is tested below.
		if strings.Contains(t.Name(), "credentials") {
			f.Denied = makeSink(t, refused)
		}
		return f
	})
}

func properties(t *testing.T, b broker) {
	exchange, q := name(), b.queue(t, name(), nil)
	b.with(t, func(c *amqp.Channel) error {
		if err := c.ExchangeDeclare(exchange, "topic", true, false, false, false, nil); err != nil {
			return err
		}
		return c.QueueBind(q, "mail.support.#", exchange, false, nil)
	})
	o := options(b.Addr, "mail.{{ mailbox.name }}.new")
	o.Exchange, o.Headers = exchange, map[string]string{"subject": "{{ message.subject }}"}
	s := makeSink(t, o)
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	if _, err := s.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	all := b.messages(t, q)
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	m := all[0]
	if m.MessageId != d.ID || m.ContentType != "application/json" || m.DeliveryMode != amqp.Persistent || m.Headers["subject"] != "Order 1042 is late" ||
		m.Type != "message.received" || m.AppId != "postferry" || !m.Timestamp.Equal(d.Timestamp) || m.RoutingKey != "mail.support.new" {
		t.Errorf("%+v", m)
	}
}

func reached(t *testing.T, b broker) {
	q := b.queue(t, name(), nil)
	signIn := url.UserPassword(mailtest.RabbitUser, mailtest.RabbitPassword).String()
	for way, change := range map[string]func(*Options){
		"TLS":              func(o *Options) { o.URL, o.TLS.CAFile = "amqps://"+signIn+"@"+b.TLSAddr, b.CAFile },
		"a vhost by name":  func(o *Options) { o.URL += "/%2F" },
		"an empty path":    func(o *Options) { o.URL += "/" },
		"another password": func(o *Options) { o.Heartbeat = time.Second },
	} {
		o := options(b.Addr, q)
		change(&o)
		if err := deliver(t, makeSink(t, o), 1); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	if n := len(b.messages(t, q)); n != 4 {
		t.Errorf("%d messages", n)
	}
}

func unroutable(t *testing.T, b broker) {
	exchange := name()
	b.with(t, func(c *amqp.Channel) error {
		return c.ExchangeDeclare(exchange, "direct", true, false, false, false, nil)
	})
	o := options(b.Addr, "nowhere")
	o.Exchange = exchange
	if err := deliver(t, makeSink(t, o), 1); !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "312 NO_ROUTE") || !strings.Contains(err.Error(), "bind a queue") {
		t.Errorf("the error is %v", err)
	}
	o.RoutingKey = "{{ message.subject }}"
	if err := deliver(t, makeSink(t, o), 1); err == nil || sinks.IsSinkFault(err) || sinks.IsPermanent(err) || sinks.IsMailFault(err) {
		t.Errorf("with a key of the mail's the error is %v", err)
	}
}

func oneUnroutable(t *testing.T, b broker) {
	q := b.queue(t, name(), nil)
	o := options(b.Addr, q+"{{ message.subject }}")
	s := makeSink(t, o)
	const n = 200
	errs := make(chan error, n)
	for i := range n {
		d := sinktest.Delivery(t, i, sinktest.Mail)
		subject := ""
		if i%2 == 1 {
			subject = "nowhere"
		}
		d.Message.Subject = &subject
		go func() {
			_, err := s.Deliver(t.Context(), d)
			if (err == nil) != (subject == "") {
				err = fmt.Errorf("with subject %q: %v", subject, err)
			} else {
				err = nil
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := len(b.messages(t, q)); got != n/2 {
		t.Errorf("%d messages", got)
	}
}

func noExchange(t *testing.T, b broker) {
	o := options(b.Addr, "key")
	o.Exchange = "nowhere"
	s := makeSink(t, o)
	if err := deliver(t, s, 1); !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), "404 NOT_FOUND") {
		t.Errorf("the error is %v", err)
	}
	if f := s.Check(t.Context()); len(f) != 2 || f[1].OK || !strings.Contains(f[1].Fix, "make the exchange") {
		t.Errorf("%+v", f)
	}
	if f := makeSink(t, options(b.Addr, "nowhere")).Check(t.Context()); len(f) != 2 || f[1].OK || !strings.Contains(f[1].Fix, "make the queue") {
		t.Errorf("%+v", f)
	}
}

func denied(t *testing.T, b broker) {
	b.Eval(`rabbit_auth_backend_internal:add_user(<<"reader">>, <<"readers-password">>, <<"test">>)`)
	b.Eval(`rabbit_auth_backend_internal:set_permissions(<<"reader">>, <<"/">>, <<"">>, <<"">>, <<".*">>, <<"test">>)`)
	for what, c := range map[string]struct{ url, says string }{
		"another password": {"amqp://ferry:another-password@" + b.Addr, "check username and password"},
		"another vhost":    {"amqp://" + url.UserPassword(mailtest.RabbitUser, mailtest.RabbitPassword).String() + "@" + b.Addr + "/nowhere", "the name of the vhost"},
		"may not write":    {"amqp://reader:readers-password@" + b.Addr, "403 ACCESS_REFUSED"},
		"not trusted":      {"amqps://ferry:another-password@" + b.TLSAddr, "tls.ca_file"},
		"nobody there":     {"amqp://ferry:another-password@127.0.0.1:1", "check the port in url"},
	} {
		o := options(b.Addr, "key")
		o.URL, o.Exchange = c.url, "amq.direct"
		err := deliver(t, makeSink(t, o), 1)
		if !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "another-password") || strings.Contains(err.Error(), "readers-password") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func longNames(t *testing.T, b broker) {
	s := makeSink(t, options(b.Addr, "{{ message.subject }}"))
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	long := strings.Repeat("x", 256)
	d.Message.Subject = &long
	if _, err := s.Deliver(t.Context(), d); !sinks.IsPermanent(err) {
		t.Errorf("the error is %v", err)
	}
}

func nothingDeclared(t *testing.T, b broker) {
	s := makeSink(t, options(b.Addr, "not-there"))
	deliver(t, s, 1)
	s.Check(t.Context())
	b.Eval(`case rabbit_amqqueue:lookup({resource, <<"/">>, queue, <<"not-there">>}) of {error, not_found} -> ok; Q -> Q end`)
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		says   string
	}{
		{func(o *Options) { o.RoutingKey = "" }, "routing_key"},
		{func(o *Options) { o.RoutingKey = "{{ mesage.subject }}" }, "unknown name"},
		{func(o *Options) { o.Exchange = strings.Repeat("x", 256) }, "255 octets"},
		{func(o *Options) { o.URL = "amqp://rabbit.example.com" }, "clear text"},
		{func(o *Options) { o.URL = "http://127.0.0.1" }, "must be amqp://"},
		{func(o *Options) { o.URL = "amqp:///mail" }, "no host"},
		{func(o *Options) { o.URL = "amqp://127.0.0.1?heartbeat=1" }, "as keys of the sink"},
		{func(o *Options) { o.URL = "amqp://127.0.0.1/%zz" }, "cannot be read"},
		{func(o *Options) { o.Username, o.URL = "u", "amqp://u:p@127.0.0.1" }, "keep one"},
		{func(o *Options) { o.Heartbeat = time.Millisecond }, "between 1s and 1h"},
		{func(o *Options) { o.Large = "split" }, "link or dead"},
	} {
		o := Options{URL: "amqp://127.0.0.1", RoutingKey: "mail"}
		c.change(&o)
		if _, err := New("rabbit", o, payload.Renderer{}, sinks.Env{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
