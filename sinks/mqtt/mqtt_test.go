package mqtt

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestATopicIsASink(t *testing.T) {
	server := mailtest.StartMosquitto(t, "max_packet_size 3000000")
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		topic := newName()
		reader := attach(t, server.Addr, newName())
		reader.subscribe(topic)
		gate := mailtest.NewGate(t, server.Addr)
		denied := options(gate.Addr, topic)
		denied.URL = strings.Replace(denied.URL, mailtest.MosquittoPassword, "another-password", 1)
		return sinktest.Fixture{
			Sink: makeSink(t, options(gate.Addr, topic)), Dead: makeSink(t, options("127.0.0.1:1", topic)), Denied: makeSink(t, denied), CheckSignsIn: true,
			Stored: func(_ testing.TB, id string) (all [][]byte) {
				for _, m := range reader.all() {
					if m.Properties.User.Get("id") == id {
						all = append(all, m.Payload)
					}
				}
				return all
			},
			Refuse: func(testing.TB) { reader.unsubscribe(topic) },
			Accept: func(testing.TB) { reader.subscribe(topic) },
			Hang:   func(_ testing.TB, entered func()) { gate.Silence(entered) },
			// The broker itself is stopped where nothing is lost when it is.
			Restart: func(testing.TB) { gate.Cut() },
			Large: func(testing.TB) string {
				return "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 300_000)
			},
			Secrets: []string{mailtest.MosquittoPassword, "another-password"},
		}
	})
}

func TestAMessageHasItsPropertiesAndItsTopic(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	reader := attach(t, server.Addr, newName())
	reader.subscribe("mail/#")
	o := options(server.Addr, "mail/{{ mailbox.name }}/{{ message.subject }}")
	o.Headers = map[string]string{"subject": "{{ message.subject }}"}
	o.Expiry = time.Hour
	s := makeSink(t, o)
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	subject := "a/b+c#d\x00\r\ne"
	d.Message.Subject = &subject
	receipt, err := s.Deliver(t.Context(), d)
	if err != nil || receipt.Detail != "PUBACK 0x00" {
		t.Fatalf("%+v, %v", receipt, err)
	}
	all := reader.all()
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	m := all[0]
	p := m.Properties
	if m.Topic != "mail/support/a_b_c_d   e" || m.QoS != 1 || m.Retain || p.ContentType != "application/json" || p.User.Get("id") != d.ID || p.User.Get("subject") != "a/b+c#d   e" {
		t.Errorf("%+v %+v", m, p)
	}
	if p.PayloadFormat == nil || *p.PayloadFormat != 1 || p.MessageExpiry == nil || *p.MessageExpiry > 3600 || *p.MessageExpiry < 3500 {
		t.Errorf("%+v", p)
	}
}

func TestEveryWayOfReachingTheBrokerWorks(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	reader := attach(t, server.Addr, newName())
	reader.subscribe("mail")
	signIn := url.UserPassword(mailtest.MosquittoUser, mailtest.MosquittoPassword).String()
	for way, change := range map[string]func(*Options){
		"TLS":            func(o *Options) { o.URL, o.TLS.CAFile = "mqtts://"+signIn+"@"+server.TLSAddr, server.CAFile },
		"a client id":    func(o *Options) { o.ClientID = "postferry-of-mine" },
		"a short breath": func(o *Options) { o.KeepAlive = time.Second },
	} {
		o := options(server.Addr, "mail")
		change(&o)
		if err := deliver(t, makeSink(t, o), 1); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	if n := reader.counted()[sinktest.ID(1)]; n != 3 {
		t.Errorf("%d messages", n)
	}
}

func TestAMessageNobodyWaitsForIsDeliveredOnlyWhereThatIsAllowed(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	for _, c := range []struct {
		name   string
		change func(*Options)
		ok     bool
		fault  bool
	}{
		{"by default", func(*Options) {}, false, true},
		{"under a topic of the mail's", func(o *Options) { o.Topic = "{{ mailbox.name }}" }, false, false},
		{"where it is accepted", func(o *Options) { o.NoSubscribers = Accept }, true, false},
		{"where the broker keeps it", func(o *Options) { o.Retain = true }, true, false},
	} {
		o := options(server.Addr, "nobody")
		c.change(&o)
		err := deliver(t, makeSink(t, o), 1)
		if (err == nil) != c.ok || sinks.IsSinkFault(err) != c.fault || sinks.IsPermanent(err) || sinks.IsMailFault(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	reader := attach(t, server.Addr, newName())
	reader.subscribe("nobody")
	if n := reader.counted()[sinktest.ID(1)]; n != 1 {
		t.Errorf("%d messages were kept", n)
	}
}

func TestWhatASubscriberThatIsAwayWillGetIsDelivered(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	name := newName()
	reader := attach(t, server.Addr, name)
	reader.subscribe("mail")
	reader.detach()
	if err := deliver(t, makeSink(t, options(server.Addr, "mail")), 1); err != nil {
		t.Fatal(err)
	}
	if n := attach(t, server.Addr, name).counted()[sinktest.ID(1)]; n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestWhoMayNotPublishIsTheSinksFaultAndNoSecretIsTold(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	reader := attach(t, server.Addr, newName())
	reader.subscribe("mail")
	for what, c := range map[string]struct{ url, says string }{
		"another password": {"mqtt://ferry:another-password@" + server.Addr, "check username and password"},
		"nobody":           {"mqtt://" + server.Addr, "check username and password"},
		"may not publish":  {"mqtt://reader:" + mailtest.MosquittoPassword + "@" + server.Addr, "0x87 not authorized"},
		"not trusted":      {"mqtts://ferry:another-password@" + server.TLSAddr, "tls.ca_file"},
		"nobody there":     {"mqtt://ferry:another-password@127.0.0.1:1", "check the port in url"},
	} {
		o := options(server.Addr, "mail")
		o.URL = c.url
		err := deliver(t, makeSink(t, o), 1)
		if !sinks.IsSinkFault(err) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "another-password") || strings.Contains(err.Error(), mailtest.MosquittoPassword) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(reader.all()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestAConnectionCutBetweenPublishAndPubackIsNoAcknowledgement(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	reader := attach(t, server.Addr, newName())
	reader.subscribe("mail")
	gate := mailtest.NewGate(t, server.Addr)
	s := makeSink(t, options(gate.Addr, "mail"))
	const cuts = 50
	for n := range cuts {
		if err := deliver(t, s, 1000+n); err != nil {
			t.Fatalf("before cut %d: %v", n, err)
		}
		gate.CutAnswer()
		if err := deliver(t, s, n); err == nil || sinks.IsSinkFault(err) || sinks.IsPermanent(err) || sinks.IsMailFault(err) {
			t.Errorf("cut %d: %v", n, err)
		}
		if err := deliver(t, s, n); err != nil {
			t.Fatalf("after cut %d: %v", n, err)
		}
	}
	count := reader.counted()
	for n := range cuts {
		if count[sinktest.ID(n)] != 2 || count[sinktest.ID(1000+n)] != 1 {
			t.Errorf("delivery %d came %d times, and the one before it %d times", n, count[sinktest.ID(n)], count[sinktest.ID(1000+n)])
		}
	}
}

func TestAConnectionLostBetweenTwoMailsCostsNoAttempt(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	reader := attach(t, server.Addr, newName())
	reader.subscribe("mail")
	gate := mailtest.NewGate(t, server.Addr)
	s := makeSink(t, options(gate.Addr, "mail"))
	if err := deliver(t, s, 1); err != nil {
		t.Fatal(err)
	}
	c, err := s.link.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gate.Cut()
	<-c.alive.Done()
	if err := deliver(t, s, 2); err != nil {
		t.Error(err)
	}
}

func TestNothingIsLostWhenMosquittoIsStopped(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	name := newName()
	reader := attach(t, server.Addr, name)
	reader.subscribe("mail")
	reader.detach()
	sinktest.Load{
		Sink: makeSink(t, options(server.Addr, "mail")), Hurt: func() { server.Stop(t) }, Back: server.Launch,
		Stored: func() map[string]int { return attach(t, server.Addr, name).counted() },
	}.Run(t)
}

func TestNothingIsLostWhenConnectionsAreCut(t *testing.T) {
	server := mailtest.StartMosquitto(t)
	name := newName()
	reader := attach(t, server.Addr, name)
	reader.subscribe("mail")
	reader.detach()
	gate := mailtest.NewGate(t, server.Addr)
	sinktest.Load{
		Sink: makeSink(t, options(gate.Addr, "mail")), Hurt: gate.Cut, Back: gate.CutAnswer,
		Stored: func() map[string]int { return attach(t, server.Addr, name).counted() },
	}.Run(t)
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		says   string
	}{
		{func(o *Options) { o.Topic = "" }, "topic"},
		{func(o *Options) { o.Topic = "{{ mesage.subject }}" }, "unknown name"},
		{func(o *Options) { o.Topic = "mail/#" }, "only stand where one subscribes"},
		{func(o *Options) { o.Topic = "mail/+/x" }, "only stand where one subscribes"},
		{func(o *Options) { o.Topic = "$SYS/mail" }, "only the broker publishes"},
		{func(o *Options) { o.Topic = "mail\x00" }, "control"},
		{func(o *Options) { o.Topic = strings.Repeat("x", 65_536) }, "65535"},
		{func(o *Options) { o.URL = "mqtt://broker.example.com" }, "clear text"},
		{func(o *Options) { o.URL = "http://127.0.0.1" }, "must be mqtt://"},
		{func(o *Options) { o.URL = "mqtt:///mail" }, "no host"},
		{func(o *Options) { o.URL = "mqtt://127.0.0.1/mail" }, "a key of its own"},
		{func(o *Options) { o.Username, o.URL = "u", "mqtt://u:p@127.0.0.1" }, "keep one"},
		{func(o *Options) { o.NoSubscribers = "wait" }, "fail or accept"},
		{func(o *Options) { o.Expiry = time.Millisecond }, "between 1s"},
		{func(o *Options) { o.KeepAlive = 24 * time.Hour }, "between 1s and 18h"},
		{func(o *Options) { o.Headers = map[string]string{"id": "x"} }, "set by postferry itself"},
	} {
		o := Options{URL: "mqtt://127.0.0.1", Topic: "mail"}
		c.change(&o)
		if _, err := New("broker", o, payload.Renderer{}, sinks.Env{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func FuzzWhatAMailSaysStaysWithinItsLevel(f *testing.F) {
	for _, s := range []string{"", "a/b", "+", "#", "$SYS/x", "\x00", "\xff", "a\r\nb", strings.Repeat("é", 70_000), "\u2028", "\ufeff"} {
		f.Add(s)
	}
	topic, err := compileTopic("mail/{{ message.subject }}/new")
	if err != nil {
		f.Fatal(err)
	}
	d := sinktest.Delivery(f, 1, sinktest.Mail)
	f.Fuzz(func(t *testing.T, subject string) {
		d.Message.Subject = &subject
		got, err := topicOf(topic, d)
		if err != nil {
			t.Fatalf("%q: %v", subject, err)
		}
		levels := strings.Split(got, "/")
		if len(levels) != 3 || levels[0] != "mail" || levels[1] == "" || levels[2] != "new" || checkTopic(got) != nil {
			t.Errorf("%q gives %q", subject, got)
		}
	})
}
