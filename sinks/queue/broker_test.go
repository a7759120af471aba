package queue

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/link"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
)

var post = Protocol{Name: "post", Port: "1111", SecurePort: "2222", Path: "/place"}

func TestABrokerIsReadOfItsURLAndTheKeysBesideIt(t *testing.T) {
	keys := Access{Username: "ada", Password: secret.New("of-keys")}
	for _, c := range []struct {
		url      string
		access   Access
		address  string
		secure   bool
		user, pw string
	}{
		{"post://localhost", Access{}, "localhost:1111", false, "", ""},
		{"post://127.0.0.1:5/place?x=y", keys, "127.0.0.1:5", false, "ada", "of-keys"},
		{"post://ada:p%26w@[::1]/place", Access{}, "[::1]:1111", false, "ada", "p&w"},
		{"post://broker.example.com", Access{Insecure: true}, "broker.example.com:1111", false, "", ""},
		{"posts://broker.example.com", keys, "broker.example.com:2222", true, "ada", "of-keys"},
		{"posts://broker.example.com:1111", Access{}, "broker.example.com:1111", true, "", ""},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		b, err := post.Broker(u, c.access)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if b.String() != c.address || (b.TLS != nil) != c.secure || (b.Server.Mode == dial.Implicit) != c.secure || b.Username != c.user || b.Password.Reveal() != c.pw {
			t.Errorf("%s is %s, TLS %v, %s, user %q with %q", c.url, b, b.TLS != nil, b.Server.Mode, b.Username, b.Password.Reveal())
		}
		if c.secure && b.TLS.ServerName != "broker.example.com" {
			t.Errorf("%s: the certificate may be of %q", c.url, b.TLS.ServerName)
		}
	}
}

func TestAURLThatIsNoBrokersIsRefusedWithoutRepeatingIt(t *testing.T) {
	for _, c := range []struct {
		url    string
		access Access
		says   string
	}{
		{"https://ada:hidden-word@localhost", Access{}, "url: must be post://host:1111/place or posts://host:2222/place"},
		{"post:///hidden-word", Access{}, "url: has no host: write post://host:1111/place"},
		{"post://ada:hidden-word@broker.example.com", Access{}, "url: is post:// to another machine"},
		{"post://hidden-word.localhost", Access{}, "set insecure: true"},
		{"post://ada:hidden-word@localhost", Access{Username: "ada"}, "url: has a user, and username or password is set"},
		{"post://ada@localhost", Access{Password: secret.New("hidden-word")}, "keep one of them"},
		{"post://localhost", Access{TLS: config.TLS{CAFile: "ca.pem"}}, "tls: it has no effect with a url of post://: use posts://"},
		{"posts://localhost", Access{TLS: config.TLS{MinVersion: "1.0"}}, "tls: tls.min_version"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = post.Broker(u, c.access); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hidden-word") {
			t.Errorf("%s: %v, want %q", c.url, err, c.says)
		}
	}
}

func TestTheSinkIsHeldForAConnectionThatCannotBeMade(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	refused := &dial.Error{Stage: "tcp", Err: errors.New("connecting to h:1: of-keys refused"), Hint: "nothing listens there; check the port in server and that the server runs"}
	for _, c := range []struct {
		fact string
		ctx  context.Context
		err  error
		fix  string
		held bool
		says string
	}{
		{"nobody waits any more", ended, refused, "", false, "connecting to h:1: context canceled"},
		{"the sink is closed", t.Context(), fmt.Errorf("x: %w", link.ErrClosed), "", false, "connecting to h:1: x: the connection was closed for good"},
		{"nothing listens", t.Context(), refused, "check it", true, "connecting to h:1: ******** refused — nothing listens there; check the port in url and that the server runs"},
		{"the broker is silent", t.Context(), errors.New("no answer to of-keys"), "check it", true, "connecting to h:1: no answer to ******** — check it"},
		{"there is no advice", t.Context(), errors.New("no\nanswer"), "", true, `connecting to h:1: no` + dial.Printable("\n") + `answer`},
	} {
		err := Unconnected(c.ctx, "h:1", c.err, NewMask("of-keys"), c.fix)
		if sinks.IsSinkFault(err) != c.held || err.Error() != c.says {
			t.Errorf("%s: %v, held %v; want %q", c.fact, err, sinks.IsSinkFault(err), c.says)
		}
	}
}

func TestACheckNamesTheStepThatFailed(t *testing.T) {
	dns := &net.DNSError{Err: "no such host", Name: "h"}
	for _, c := range []struct {
		err       error
		step, fix string
	}{
		{errors.New("no answer"), "connection", "check it"},
		{fmt.Errorf("x: %w", dns), "DNS", "check it"},
		{errors.New("remote error: tls: certificate required"), "TLS", "check it"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "TLS", "check it"},
		{fmt.Errorf("x: %w", tls.RecordHeaderError{Msg: "no TLS"}), "TLS", "check it"},
		{&dial.Error{Stage: "dns", Err: dns, Hint: "check the host name in server"}, "DNS", "check the host name in url"},
		{&dial.Error{Stage: "tls", Err: errors.New("x"), Hint: "use posts:// for an upgrade in band"}, "TLS", "use posts://, with insecure: true where it is another machine"},
		{&dial.Error{Stage: "tcp", Err: errors.New("x")}, "TCP", "check it"},
	} {
		f := NotConnected(c.err, Mask{}, "check it")
		if f.OK || f.Step != c.step || f.Fix != c.fix || f.Said != c.err.Error() {
			t.Errorf("%v is %+v", c.err, f)
		}
	}
	if f := Connected("h:1", true, "ada"); !f.OK || f.Step != "connection" || f.Said != "connected to h:1 with TLS, signed in as ada" || f.Fix != "" {
		t.Errorf("%+v", f)
	}
	if f := Connected("h:1", false, ""); f.Said != "connected to h:1" {
		t.Errorf("%+v", f)
	}
}
