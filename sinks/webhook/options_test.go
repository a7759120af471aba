package webhook

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	headers := func(name, value string) map[string]secret.Secret {
		return map[string]secret.Secret{name: secret.New(value)}
	}
	for _, c := range []struct {
		name string
		o    Options
		says string
	}{
		{"no url", Options{}, "url must be https://host/path"},
		{"no scheme", Options{URL: "app.example.com/hook"}, "url must be https://host/path"},
		{"another scheme", Options{URL: "ftp://app.example.com/"}, "url must be https://host/path"},
		{"no host", Options{URL: "https:///path"}, "url must be https://host/path"},
		{"no url at all", Options{URL: "https://a\x00b:secret-pass@/"}, "url cannot be read"},
		{"clear text to another machine", Options{URL: "http://app.example.com/"}, "set insecure: true"},
		{"clear text to a name that may be another machine", Options{URL: "http://app.localhost/"}, "set insecure: true"},
		{"clear text to another address", Options{URL: "http://192.0.2.1/"}, "set insecure: true"},
		{"clear text to a name that looks like this machine", Options{URL: "http://localhost.example.com/"}, "set insecure: true"},
		{"user twice", Options{URL: "https://u:secret-pass@h/", Basic: Basic{Username: "v"}}, "keep one of them"},
		{"basic and bearer", Options{URL: "https://h/", Basic: Basic{Username: "v"}, Bearer: secret.New("secret-pass")}, "exclude each other"},
		{"bearer and header", Options{URL: "https://h/", Bearer: secret.New("secret-pass"), Headers: headers("authorization", "x")}, "keep one of them"},
		{"a password and bearer", Options{URL: "https://h/", Basic: Basic{Password: secret.New("secret-pass")}, Bearer: secret.New("secret-pass")}, "exclude each other"},
		{"bearer and header with a hole", Options{URL: "https://h/", Bearer: secret.New("secret-pass"), Headers: headers("authorization", "{{ id }}")}, "keep one of them"},
		{"one header twice", Options{URL: "https://h/", Headers: map[string]secret.Secret{"X-Key": secret.New("secret-pass"), "x-key": secret.New("b")}}, "X-Key and x-key are one header field"},
		{"a colon in the username", Options{URL: "https://h/", Basic: Basic{Username: "a:b"}}, "colon"},
		{"our header", Options{URL: "https://h/", Headers: headers("webhook-id", "x")}, "not a header field that may be set"},
		{"no header", Options{URL: "https://h/", Headers: headers("a b", "x")}, "not a header field that may be set"},
		{"a header with a line end", Options{URL: "https://h/", Headers: headers("X-A", "secret-pass\r\nX-B: y")}, "the value of X-A"},
		{"a bearer with a line end", Options{URL: "https://h/", Bearer: secret.New("secret-pass\n")}, "bearer has characters"},
		{"a method without body", Options{URL: "https://h/", Method: "GET"}, "not POST, PUT or PATCH"},
		{"a negative timeout", Options{URL: "https://h/", Timeout: -1}, "negative"},
		{"an empty one of several secrets", Options{URL: "https://h/", Secrets: []secret.Secret{secret.New(keyOne), {}}}, "one of them is empty"},
		{"a proxy nobody speaks to", Options{URL: "https://h/", Proxy: "ftp://h/secret-pass"}, "proxy must be"},
		{"a proxy that is none", Options{URL: "https://h/", Proxy: "::secret-pass"}, "proxy must be"},
		{"TLS in clear text", Options{URL: "http://127.0.0.1/", TLS: config.TLS{PinSHA256: []string{"secret-pass"}}}, "it has no effect with a url of http://"},
		{"a CA file that is not there", Options{URL: "https://h/", TLS: config.TLS{CAFile: "/nonexistent"}}, "tls.ca_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New("app", c.o, payload.Renderer{}, sinks.Env{})
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-pass") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestClearTextIsAllowedToThisMachineOrWhenSaid(t *testing.T) {
	for _, o := range []Options{
		{URL: "http://localhost:8000/"}, {URL: "http://LOCALHOST./"}, {URL: "http://127.1.2.3/"},
		{URL: "http://[::1]:80/"}, {URL: "http://[::ffff:127.0.0.1]/"}, {URL: "http://app.example.com/", Insecure: true},
	} {
		if _, err := New("app", o, payload.Renderer{}, sinks.Env{}); err != nil {
			t.Errorf("%s: %v", o.URL, err)
		}
	}
}

func TestTheRequestIsAsConfigured(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{
		URL: strings.Replace(r.URL, "http://", "http://us%40er:p%3Aw@", 1) + "/hooks/mail?a=b#fragment", Method: "put",
		Headers: map[string]secret.Secret{"x-team": secret.New("eu")},
	}, sinks.Env{Version: "1.2.3"})
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	q := r.Requests()[0]
	if q.Method != "PUT" || q.URL != "/hooks/mail?a=b" {
		t.Errorf("%s %s", q.Method, q.URL)
	}
	for name, want := range map[string]string{
		"X-Team": "eu", "User-Agent": "postferry/1.2.3", "Content-Type": "application/json", "Webhook-Id": sinktest.ID(1),
		"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("us@er:p:w")), "Idempotency-Key": "", "Accept-Encoding": "",
	} {
		if got := q.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestABearerTokenIsSent(t *testing.T) {
	r := mailtest.NewReceiver(t)
	if _, err := deliver(t, makeSink(t, Options{URL: r.URL, Bearer: secret.New("token-1")}, sinks.Env{})); err != nil {
		t.Fatal(err)
	}
	if got := r.Requests()[0].Header.Get("Authorization"); got != "Bearer token-1" {
		t.Errorf("Authorization is %q", got)
	}
}

func TestAProxyIsUsedAndItsPasswordKept(t *testing.T) {
	r := mailtest.NewReceiver(t)
	var authorization string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		authorization = q.Header.Get("Proxy-Authorization")
		out, err := http.NewRequestWithContext(q.Context(), q.Method, r.URL, q.Body)
		if err != nil {
			w.WriteHeader(500)
			return
		}
		out.Header = q.Header
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	}))
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	defer proxy.Close()
	s := makeSink(t, Options{URL: "http://app.example.com/", Insecure: true, Proxy: strings.Replace(proxy.URL, "http://", "http://u:proxy-pass@", 1)}, sinks.Env{})
	if _, err := deliver(t, s); err != nil || r.Count() != 1 {
		t.Errorf("%v, %d requests", err, r.Count())
	}
	if authorization != "Basic "+base64.StdEncoding.EncodeToString([]byte("u:proxy-pass")) {
		t.Errorf("the proxy saw %q", authorization)
	}
	dead := makeSink(t, Options{URL: "http://app.example.com/", Insecure: true, Proxy: "http://u:proxy-pass@" + unused(t)}, sinks.Env{})
	if _, err := deliver(t, dead); err == nil || strings.Contains(err.Error(), "proxy-pass") {
		t.Errorf("%v", err)
	}
}

func TestPreviewMasksWhatTheConfigurationHolds(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{
		URL: r.URL + "/hooks/{{ mailbox.name }}/path-token-0123456789?token=query-token-1", AllowNetworks: []string{"127.0.0.1"}, Secret: secret.New(keyOne), Bearer: secret.New("bearer-token-1"),
		Headers: map[string]secret.Secret{"X-Api-Key": secret.New("header-value-1"), "X-Box-Key": secret.New("{{ mailbox.name }} header-value-2"), "X-Box": secret.New("{{ mailbox.name }}")},
	}, sinks.Env{})
	p, err := s.Preview(sinktest.Delivery(t, 1, sinktest.Mail))
	if err != nil {
		t.Fatal(err)
	}
	if p.Method != "POST" || p.URL != r.URL+"/hooks/support/"+secret.Masked+"?"+secret.Masked || p.Header.Get("X-Box-Key") != "support "+secret.Masked || p.Header.Get("X-Box") != "support" || p.Header.Get("Authorization") != secret.Masked || p.Header.Get("X-Api-Key") != secret.Masked {
		t.Errorf("%+v", p)
	}
	if err := verifier(t, keyOne).Verify(p.Body, p.Header); err != nil {
		t.Errorf("the previewed signature: %v", err)
	}
	if r.Count() != 0 {
		t.Error("a preview was sent")
	}
}

func TestCheckSaysHowLongTheCertificateLasts(t *testing.T) {
	ca := newCA(t)
	r := mailtest.NewReceiver(t, mailtest.WithTLS(ca))
	s := makeSink(t, Options{URL: r.URL, TLS: config.TLS{CAFile: caFile(t, ca)}, Secret: secret.New(keyOne), Secrets: []secret.Secret{secret.New(keyTwo)}}, sinks.Env{})
	all := fmt.Sprintf("%+v", s.Check(t.Context()))
	for _, want := range []string{"Step:DNS OK:true", "Step:TCP OK:true", "Step:TLS OK:true", "the certificate has 29 days left", "signed with 2 secrets"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s lacks %q", all, want)
		}
	}
	if r.Count() != 0 {
		t.Error("a check posted something")
	}
	untrusting := makeSink(t, Options{URL: r.URL}, sinks.Env{})
	if all := fmt.Sprintf("%+v", untrusting.Check(t.Context())); !strings.Contains(all, "Step:TLS OK:false") || !strings.Contains(all, "tls.ca_file") {
		t.Error(all)
	}
}
