package webhook

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func withSubject(t testing.TB, subject string) *sinks.Delivery {
	return sinktest.Delivery(t, 1, "Subject: "+subject+"\r\n\r\nx")
}

func TestWhatAMailPutsIntoAUrlStaysInItsPlace(t *testing.T) {
	for _, c := range []struct{ url, subject, want string }{
		{`https://a.example/h/{{ message.subject }}`, "plain", "https://a.example/h/plain"},
		{`https://a.example/h/{{ message.subject }}/x`, "a/b?c=d#e%2e", "https://a.example/h/a%2Fb%3Fc=d%23e%252e/x"},
		{`https://a.example/h?q={{ message.subject }}&r=1`, "a&r=2#x y", "https://a.example/h?q=a%26r%3D2%23x+y&r=1"},
		{`https://a.example/{{ slug(message.subject, 20) }}`, "Größe 10!", "https://a.example/grosse-10"},
		{`https://{{ message.subject }}.a.example/`, "team-1", "https://team-1.a.example/"},
		{`{{ message.subject }}`, "https://b.example/cb?x=1", "https://b.example/cb?x=1"},
		{`{{ message.subject }}`, "https://b.example:443/cb", "https://b.example:443/cb"},
		{`https://a.example/{{ message.subject }}/{{ mailbox.name }}?m={{ id }}`, "é", "https://a.example/%C3%A9/support?m=msg_test0001"},
	} {
		s := makeSink(t, Options{URL: c.url}, sinks.Env{})
		u, err := s.target.of(withSubject(t, c.subject))
		if err != nil || u.String() != c.want {
			t.Errorf("%s with %q is %v, %v", c.url, c.subject, u, err)
		}
	}
}

func TestAMailThatMakesNoUrlIsADeadLetter(t *testing.T) {
	for _, c := range []struct{ url, subject, says string }{
		{`https://a.example/h/{{ message.subject }}/x`, "..", "upwards"},
		{`https://a.example/h/{{ message.subject }}`, ".", "upwards"},
		{`https://a.example/h/.{{ message.subject }}`, ".", "upwards"},
		{`https://{{ message.subject }}/`, "b.example@c.example", "no host name"},
		{`https://{{ message.subject }}/`, "[::1]", "no host name"},
		{`https://{{ message.subject }}/`, "a.example:22", "no host name"},
		{`https://{{ message.subject }}/`, "a.example/x?", "no host name"},
		{`https://{{ message.subject }}/`, "", "no host name"},
		{`{{ message.subject }}`, "http://b.example/", "not https://"},
		{`{{ message.subject }}`, "file:///etc/passwd", "not https://"},
		{`{{ message.subject }}`, "gopher://b.example/", "not https://"},
		{`{{ message.subject }}`, "https:b.example", "not https://host/path"},
		{`{{ message.subject }}`, "https://u:p@b.example/", "not https://host/path"},
		{`{{ message.subject }}`, "https://b.example:22/", "port other than 443"},
		{`{{ message.subject }}`, "", "not https://"},
		{`{{ message.subject }}`, "https://b.example/%zz", "no url"},
		{`https://a.example/{{ date(message.subject) }}`, "x", "hole 1"},
	} {
		s := makeSink(t, Options{URL: c.url}, sinks.Env{})
		_, err := s.Deliver(t.Context(), withSubject(t, c.subject))
		if err == nil || !sinks.IsPermanent(err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %q: %v", c.url, c.subject, err)
		}
	}
}

func TestUrlsWithHolesThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{URL: `https://a.example/{{ mesage.subject }}`}, `url: {{ mesage.subject }}: unknown name "mesage"`},
		{Options{URL: `{{ message.subject }}://a.example/`}, "scheme"},
		{Options{URL: `https://a.example:{{ message.subject }}/`}, "port"},
		{Options{URL: `https://{{ message.subject }}@a.example/`}, "user"},
		{Options{URL: `https://u:p@{{ message.subject }}/`}, "user"},
		{Options{URL: `{{ message.subject }}/x`}, "goes on"},
		{Options{URL: `https://a.example/{{ id }}`, Proxy: "http://proxy.example:3128"}, "take proxy out"},
		{Options{URL: `https://{{ id }}/`, Bearer: secret.New("secret-pass")}, "basic, bearer and headers"},
		{Options{URL: `{{ message.subject }}`, Headers: map[string]secret.Secret{"X-Key": secret.New("secret-pass")}}, "basic, bearer and headers"},
		{Options{URL: `http://127.0.0.1:8000/{{ id }}`}, "allow_networks: [127.0.0.1]"},
		{Options{URL: `http://localhost:8000/{{ id }}`}, "allow_networks"},
		{Options{URL: `https://10.0.0.1/{{ id }}`, AllowNetworks: []string{"10.0.0.2"}}, "allow_networks: [10.0.0.1]"},
		{Options{URL: `http://a.example/{{ id }}`}, "set insecure: true"},
		{Options{URL: `https://a.example/`, AllowNetworks: []string{"10.0.0.0/8"}}, "allow_networks is for urls with holes"},
		{Options{URL: `https://a.example/{{ id }}`, AllowNetworks: []string{"ten"}}, "is no network"},
		{Options{URL: `https://a.example/`, Headers: map[string]secret.Secret{"X-A": secret.New("{{ mesage.subject }}")}}, "headers: X-A: "},
	} {
		_, err := New("app", c.o, payload.Renderer{}, sinks.Env{})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-pass") {
			t.Errorf("%s: %v", c.o.URL, err)
		}
	}
}

func TestHeaderFieldsMayBeMadeOfTheMail(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL, Headers: map[string]secret.Secret{
		"X-Mailbox": secret.New("{{ mailbox.name }}"), "X-Subject": secret.New("s: {{ message.subject }}"), "X-Text": secret.New("{{ message.text }}"),
	}}, sinks.Env{})
	d := sinktest.Delivery(t, 1, "Subject: =?utf-8?q?a=0D=0AX-Injected:_1?=\r\n\r\none\r\nX-Injected: 2\r\n"+strings.Repeat("long ", 5000))
	if _, err := s.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	h := r.Requests()[0].Header
	if h.Get("X-Mailbox") != "support" || !strings.HasPrefix(h.Get("X-Subject"), "s: a") || !strings.HasPrefix(h.Get("X-Text"), "one X-Injected: 2") || h.Get("X-Injected") != "" || len(h.Get("X-Text")) > longestField {
		t.Errorf("%v", h)
	}
}

func TestGoneAtAUrlOfAMailConcernsThatUrlAlone(t *testing.T) {
	r := mailtest.NewReceiver(t)
	r.Answer(func(q *mailtest.Request) mailtest.Answer {
		if q.URL == "/gone" {
			return mailtest.Answer{Status: http.StatusGone}
		}
		return mailtest.Answer{Status: 200}
	})
	clock := &fixed{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	s := makeSink(t, Options{URL: r.URL + `/{{ message.subject }}`, AllowNetworks: []string{"127.0.0.1"}}, sinks.Env{Clock: clock})
	send := func(subject string) error {
		_, err := s.Deliver(t.Context(), withSubject(t, subject))
		return err
	}
	err := send("gone")
	if wait, _ := sinks.RetryAfterOf(err); verdictOf(err) != temporary || wait != 24*time.Hour {
		t.Errorf("%s, %s: %v", verdictOf(err), wait, err)
	}
	clock.now = clock.now.Add(time.Hour)
	err = send("gone")
	if wait, _ := sinks.RetryAfterOf(err); verdictOf(err) != temporary || wait != 23*time.Hour || !strings.Contains(fmt.Sprint(err), "left alone") {
		t.Errorf("an hour later: %s, %s: %v", verdictOf(err), wait, err)
	}
	if err := send("there"); err != nil {
		t.Errorf("another url: %v", err)
	}
	if n := r.Count(); n != 2 {
		t.Errorf("%d requests", n)
	}
	clock.now = clock.now.Add(24 * time.Hour)
	if err := send("gone"); err == nil || r.Count() != 3 {
		t.Errorf("a day later: %d requests, %v", r.Count(), err)
	}
}

func TestAUrlOfAMailHoldsNoSink(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL + `/{{ message.subject }}`, AllowNetworks: []string{"127.0.0.0/8"}}, sinks.Env{})
	for _, code := range []int{401, 403, 404, 405, 410, 421} {
		r.Statuses(code)
		if _, err := s.Deliver(t.Context(), withSubject(t, fmt.Sprint(code))); verdictOf(err) != temporary {
			t.Errorf("%d is %s: %v", code, verdictOf(err), err)
		}
	}
	other := makeSink(t, Options{URL: `https://{{ message.subject }}/`, Timeout: 5 * time.Second}, sinks.Env{})
	other.transport.DialContext = (&net.Dialer{Resolver: resolver(t, 3)}).DialContext
	if _, err := other.Deliver(t.Context(), withSubject(t, "no-such-host.invalid")); verdictOf(err) != temporary {
		t.Errorf("a name that does not resolve is %s: %v", verdictOf(err), err)
	}
}

func FuzzUrls(f *testing.F) {
	for _, s := range []string{"", "..", "a/b", "https://b.example/", "https://[::1]/", "//x", "\x00", "%2e%2e", "https://a.example@b/", "https://b.example\\@c/", "１"} {
		f.Add(s)
	}
	var sinksOf []*Sink
	for _, u := range []string{`https://a.example/h/{{ message.subject }}/x?q={{ message.subject }}`, `https://{{ message.subject }}.a.example/`, `{{ message.subject }}`} {
		sinksOf = append(sinksOf, makeSink(f, Options{URL: u}, sinks.Env{}))
	}
	f.Fuzz(func(t *testing.T, value string) {
		d := sinktest.Delivery(t, 1, "\r\nx")
		d.Message.Subject = &value
		u, err := sinksOf[0].target.of(d)
		if err == nil && (u.Host != "a.example" || !strings.HasPrefix(u.EscapedPath(), "/h/") || strings.Count(u.EscapedPath(), "/") != 3 || len(u.Query()) != 1) {
			t.Fatalf("%q makes %s", value, u)
		}
		if u, err = sinksOf[1].target.of(d); err == nil && !strings.HasSuffix(u.Host, ".a.example") {
			t.Fatalf("%q makes %s", value, u)
		}
		if u, err = sinksOf[2].target.of(d); err == nil && (u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
			t.Fatalf("%q makes %s", value, u)
		}
	})
}
