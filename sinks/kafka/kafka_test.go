package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"go.uber.org/goleak"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/mailtest/kafkad"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "a-password-of-kafka"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func makeSink(t testing.TB, o Options, r payload.Renderer) *Sink {
	t.Helper()
	s, err := New("topic", o, r, sinks.Env{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func deliver(t testing.TB, s *Sink, raw string) (sinks.Receipt, error) {
	t.Helper()
	return s.Deliver(t.Context(), sinktest.Delivery(t, 1, raw))
}

// header is a field of a record's header.
func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// fault names the mark of an error.
func fault(err error) string {
	switch {
	case err == nil:
		return "none"
	case sinks.IsPermanent(err):
		return "mail"
	case sinks.IsSinkFault(err):
		return "sink"
	}
	return "temporary"
}

// producing is a fault of every record.
func producing(err *kerr.Error) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: -1}
}

func TestKafkaIsASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		b := kafkad.Start(t, []string{"mail"}, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ferry", password), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "16000000"}))
		signedIn := kgo.SASL(plain.Auth{User: "ferry", Pass: password}.AsMechanism())
		make := func(addr, password string) *Sink {
			s, err := New("topic", Options{
				Brokers: []string{addr}, Topic: "mail", Username: "ferry", Password: secret.New(password), Options: queue.Options{MaxSize: 12 << 20},
			}, payload.Renderer{}, sinks.Env{})
			must(t, err)
			return s
		}
		var fault *kfake.FaultHandle
		refuse := func(e *kerr.Error) { fault = b.Fault(producing(e)) }
		sink := make(b.Addr, password)
		return sinktest.Fixture{
			Sink: sink, Dead: make("127.0.0.1:1", password), Denied: make(b.Addr, "another-password"), CheckSignsIn: true,
			Stored: func(t testing.TB, id string) (all [][]byte) {
				for _, r := range b.Records(t, "mail", signedIn) {
					if header(r, headerID) == id {
						all = append(all, r.Value)
					}
				}
				return all
			},
			Refuse: func(testing.TB) { refuse(kerr.TopicAuthorizationFailed) },
			Accept: func(testing.TB) { fault.Remove() },
			Large:  func(testing.TB) string { refuse(kerr.MessageTooLarge); return sinktest.Mail },
			Hang: func(t testing.TB, entered func()) { // once there is a connection
				_, err := sink.Deliver(t.Context(), sinktest.Delivery(t, 99, sinktest.Mail))
				must(t, err)
				b.Silence(entered)
			},
			Restart: func(t testing.TB) {
				b.Stop()
				b.Again(t)
			},
			Secrets: []string{password, "another-password"},
		}
	})
}

func TestNothingIsLostWhenConnectionsAreCutAndTheBrokerRestarts(t *testing.T) {
	b := kafkad.Start(t, []string{"mail"})
	s := makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "mail", Options: queue.Options{Timeout: 2 * time.Second}}, payload.Renderer{})
	sinktest.Load{Sink: s, Hurt: func() { b.Cut(); b.Stop() }, Back: func() { b.Again(t) }, Stored: func() map[string]int {
		stored := map[string]int{}
		for _, r := range b.Records(t, "mail") {
			stored[header(r, headerID)]++
		}
		return stored
	}}.Run(t)
}

func TestWhatIsNotConfirmedIsNeverDelivered(t *testing.T) {
	b := kafkad.Start(t, []string{"mail"})
	large := "Subject: large\r\n\r\n" + strings.Repeat("x", 500_000)
	for _, c := range []struct {
		fact, fault, says string
		answer            *kerr.Error
		o                 Options
		raw               string
	}{
		{"a topic that is not there", "sink", "make the topic", nil, Options{Topic: "nobody"}, ""},
		{"a topic of the mail's that is not there", "temporary", "make the topic", nil, Options{Topic: "nobody-{{ message.subject }}"}, ""},
		{"a topic the user may not write to", "sink", "let the user write to the topic", kerr.TopicAuthorizationFailed, Options{Topic: "mail"}, ""},
		{"an idempotent producer that is not allowed", "sink", "IdempotentWrite", kerr.ClusterAuthorizationFailed, Options{Topic: "mail"}, ""},
		{"a record larger than the broker takes", "mail", "raise max.message.bytes", kerr.MessageTooLarge, Options{Topic: "mail"}, ""},
		{"a record larger than Kafka takes as it comes", "mail", "octets, and the broker takes 99", nil, Options{Topic: "mail"}, large + strings.Repeat("y", 500_000)},
		{"too few replicas in sync", "temporary", "no confirmation within 300ms", kerr.NotEnoughReplicas, Options{Topic: "mail"}, ""},
		{"none of that", "none", "", nil, Options{Topic: "mail"}, ""},
	} {
		t.Run(c.fact, func(t *testing.T) {
			c.o.Brokers, c.o.Timeout = []string{b.Addr}, 300*time.Millisecond
			if c.answer != kerr.NotEnoughReplicas {
				c.o.Timeout = 0
			}
			if c.answer != nil {
				defer b.Fault(producing(c.answer)).Remove()
			}
			if c.raw == "" {
				c.raw = "Subject: word\r\n\r\nhello\r\n"
			}
			receipt, err := deliver(t, makeSink(t, c.o, payload.Renderer{}), c.raw)
			if fault(err) != c.fault || err != nil && !strings.Contains(err.Error(), c.says) || err == nil && receipt.Detail != "topic mail, partition 0, offset 0" {
				t.Errorf("%s: %v, %+v", fault(err), err, receipt)
			}
		})
	}
}

func TestARecordSaysWhatItIs(t *testing.T) {
	b := kafkad.Start(t, []string{"mail-support"})
	s := makeSink(t, Options{
		Brokers: []string{b.Addr}, Topic: "mail-{{ mailbox.name }}", Key: "{{ message.thread.key }}", Options: queue.Options{Headers: map[string]string{"from": "{{ from() }}"}},
	}, payload.Renderer{})
	if _, err := deliver(t, s, sinktest.Mail); err != nil {
		t.Fatal(err)
	}
	all := b.Records(t, "mail-support")
	if len(all) != 1 || string(all[0].Key) != "caf3.91@mail.example" {
		t.Fatalf("%d records, %+v", len(all), all)
	}
	for name, want := range map[string]string{headerID: sinktest.ID(1), headerType: "application/json", "from": "ada@customer.example"} {
		if got := header(all[0], name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// kfake closes the connection of who cannot sign in; Kafka says so first.
func TestEveryWayToSignIn(t *testing.T) {
	b := kafkad.Start(t, []string{"mail"}, kfake.EnableSASL(), kfake.Superuser("PLAIN", "p", password), kfake.Superuser("SCRAM-SHA-256", "s256", password), kfake.Superuser("SCRAM-SHA-512", "s512", password))
	for _, c := range []struct {
		auth, user, password, step string
		ok                         bool
	}{
		{"", "p", password, "connection", true},
		{"plain", "p", password, "connection", true},
		{"scram-sha-256", "s256", password, "connection", true},
		{"scram-sha-512", "s512", password, "connection", true},
		{"scram-sha-256", "s256", "b-password-of-kafka", "connection", false},
		{"plain", "p", "b-password-of-kafka", "connection", false},
	} {
		s := makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "mail", Auth: c.auth, Username: c.user, Password: secret.New(c.password)}, payload.Renderer{})
		if found := s.Check(t.Context()); found[0].Step != c.step || found[0].OK != c.ok || c.ok && !strings.Contains(found[0].Said, "signed in as "+c.user) || !c.ok && !strings.Contains(found[0].Fix, "username, password, auth") {
			t.Errorf("%s %s: %+v", c.auth, c.user, found)
		}
	}
}

func TestACheckTellsOfTheTopic(t *testing.T) {
	b := kafkad.Start(t, []string{"mail"})
	found := makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "mail"}, payload.Renderer{}).Check(t.Context())
	if len(found) != 2 || !found[1].OK || !strings.HasPrefix(found[1].Said, "topic mail has 1 partitions, ") || !strings.Contains(found[1].Said, "min.insync.replicas is ") {
		t.Errorf("%+v", found)
	}
	found = makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "nobody"}, payload.Renderer{}).Check(t.Context())
	if len(found) != 2 || found[1].OK || !strings.Contains(found[1].Fix, "make the topic") {
		t.Errorf("%+v", found)
	}
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		fact string
		o    Options
		says string
	}{
		{"no broker", Options{Topic: "mail"}, "names no broker"},
		{"a url", Options{Brokers: []string{"kafka://secret-pass@h:1"}, Topic: "mail"}, "is not host:port"},
		{"no topic", Options{Brokers: []string{"localhost"}}, "is no topic"},
		{"a topic with a space", Options{Brokers: []string{"localhost"}, Topic: "a b"}, "other characters"},
		{"Kafka's own topic", Options{Brokers: []string{"localhost"}, Topic: "__consumer_offsets"}, "Kafka's own"},
		{"a key that is none", Options{Brokers: []string{"localhost"}, Topic: "mail", Key: "{{ message.thred.key }}"}, "thread"},
		{"a password for nobody", Options{Brokers: []string{"localhost"}, Topic: "mail", Password: secret.New("secret-pass")}, "username: it is missing"},
		{"another way to sign in", Options{Brokers: []string{"localhost"}, Topic: "mail", Username: "u", Auth: "gssapi"}, "is not plain"},
		{"TLS and not", Options{Brokers: []string{"localhost"}, Topic: "mail", Insecure: true, TLS: &config.TLS{}}, "keep one of them"},
		{"a header field of postferry's", Options{Brokers: []string{"localhost"}, Topic: "mail", Options: queue.Options{Headers: map[string]string{"postferry-id": "x"}}}, "set by postferry itself"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			_, err := New("topic", c.o, payload.Renderer{}, sinks.Env{})
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-pass") && c.fact != "a url" {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestOtherMachinesAreSpokenToWithTLSAlone(t *testing.T) {
	for _, c := range []struct {
		o      Options
		secure bool
	}{
		{Options{Brokers: []string{"localhost", "127.0.0.1:9093"}}, false},
		{Options{Brokers: []string{"localhost", "kafka.example.com"}}, true},
		{Options{Brokers: []string{"kafka.localhost"}}, true},
		{Options{Brokers: []string{"[2001:db8::1]:9092"}}, true},
		{Options{Brokers: []string{"localhost"}, TLS: &config.TLS{}}, true},
		{Options{Brokers: []string{"kafka.example.com"}, Insecure: true}, false},
	} {
		c.o.Topic = "mail"
		s := makeSink(t, c.o, payload.Renderer{})
		if s.secure != c.secure {
			t.Errorf("%v: TLS is %v", c.o.Brokers, s.secure)
		}
		if c.secure || c.o.Insecure {
			continue
		}
		if _, err := s.dialClear(t.Context(), "tcp", "192.0.2.1:9092"); err == nil || !strings.Contains(err.Error(), "another machine") {
			t.Errorf("a broker that tells of another machine: %v", err)
		}
	}
}

func TestWhatAMailSaysHasTheCharactersOfATopic(t *testing.T) {
	for said, want := range map[string]string{"vip": "vip", "": "_", "a.b": "a_b", "a/../b": "a____b", "größe": "gr__e", "\xff\x00": "__", strings.Repeat("x", 1000): strings.Repeat("x", longestWord)} {
		if got := word(said); got != want {
			t.Errorf("%q became %q", said, got)
		}
	}
}

func FuzzWord(f *testing.F) {
	f.Add("a.b")
	f.Add("größe\x00")
	f.Fuzz(func(t *testing.T, said string) {
		if err := checkTopic("mail." + word(said)); err != nil {
			t.Errorf("%q: %v", said, err)
		}
	})
}
