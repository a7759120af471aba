package dial_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/dial"
)

// serve accepts connections on loopback and gives each to handle; the listener
// and all handlers have ended when the test ends.
func serve(t *testing.T, handle func(net.Conn)) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			handle(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// serveTLS greets with "hello" after a handshake.
func serveTLS(t *testing.T, config *tls.Config) (port string) {
	return serve(t, func(c net.Conn) {
		s := tls.Server(c, config)
		if s.Handshake() == nil {
			io.WriteString(s, "hello")
			io.Copy(io.Discard, s)
		}
	})
}

func connect(t *testing.T, port string, mode dial.Mode, block dial.TLS) (*dial.Conn, error) {
	t.Helper()
	config, err := block.Config("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "imap"
	if mode == dial.Implicit {
		scheme = "imaps"
	}
	d := &dial.Dialer{
		Server:         dial.Server{Scheme: scheme, Host: "127.0.0.1", Port: port, Mode: mode},
		TLS:            config,
		ConnectTimeout: 5 * time.Second,
	}
	c, err := d.Dial(context.Background())
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestTrust(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good := ca.issue(nil)
	wrongName := ca.issue(func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"mail.example.com"} })
	expired := ca.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	manyNames := ca.issue(func(c *x509.Certificate) {
		c.IPAddresses = nil
		for range 200 {
			c.DNSNames = append(c.DNSNames, strings.Repeat("a", 50)+".example")
		}
	})
	client := ca.issue(nil)
	clientCert, clientKey := files(t, client)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)

	tests := []struct {
		fact   string
		server *tls.Config
		block  dial.TLS
		says   string // "" is success
		hint   string
	}{
		{"own CA named", &tls.Config{Certificates: []tls.Certificate{good}}, dial.TLS{CAFile: ca.File}, "", ""},
		{"own CA not named", &tls.Config{Certificates: []tls.Certificate{good}}, dial.TLS{}, "unknown authority", "if this is your own CA name it in tls.ca_file"},
		{"another CA named", &tls.Config{Certificates: []tls.Certificate{good}}, dial.TLS{CAFile: stranger.File}, "unknown authority", "tls.ca_file"},
		{"wrong name", &tls.Config{Certificates: []tls.Certificate{wrongName}}, dial.TLS{CAFile: ca.File}, "doesn't contain any IP SANs", "the certificate is for mail.example.com"},
		{"server_name instead of the host", &tls.Config{Certificates: []tls.Certificate{wrongName}}, dial.TLS{CAFile: ca.File, ServerName: "mail.example.com"}, "", ""},
		{"expired", &tls.Config{Certificates: []tls.Certificate{expired}}, dial.TLS{CAFile: ca.File}, "expired", "renew"},
		{"200 names", &tls.Config{Certificates: []tls.Certificate{manyNames}}, dial.TLS{CAFile: ca.File, ServerName: "x.example"}, "200 names", "…"},
		{"right pin", &tls.Config{Certificates: []tls.Certificate{good}}, dial.TLS{CAFile: ca.File, PinSHA256: []string{pin(t, client), pin(t, good)}}, "", ""},
		{"right pin in curl's form", &tls.Config{Certificates: []tls.Certificate{good}}, dial.TLS{CAFile: ca.File, PinSHA256: []string{"sha256//" + pin(t, good)}}, "", ""},
		{"wrong pin", &tls.Config{Certificates: []tls.Certificate{good}}, dial.TLS{CAFile: ca.File, PinSHA256: []string{pin(t, client)}}, "it is " + pin(t, good), "tls.pin_sha256"},
		{"a pin does not replace the CA", &tls.Config{Certificates: []tls.Certificate{good}}, dial.TLS{PinSHA256: []string{pin(t, good)}}, "unknown authority", "tls.ca_file"},
		{"TLS 1.1 only", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, dial.TLS{CAFile: ca.File}, "protocol version", "TLS 1.2 or later"},
		{"TLS 1.2 when 1.3 is asked", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, dial.TLS{CAFile: ca.File, MinVersion: "1.3"}, "protocol version", "TLS 1.3 or later"},
		{"client certificate given", &tls.Config{Certificates: []tls.Certificate{good}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12}, dial.TLS{CAFile: ca.File, ClientCert: clientCert, ClientKey: clientKey}, "", ""},
		{"client certificate missing", &tls.Config{Certificates: []tls.Certificate{good}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12}, dial.TLS{CAFile: ca.File}, "handshake failure", "tls.client_cert"},
	}
	for _, test := range tests {
		t.Run(test.fact, func(t *testing.T) {
			c, err := connect(t, serveTLS(t, test.server), dial.Implicit, test.block)
			if test.says != "" {
				wantError(t, err, "tls", test.says, test.hint)
				if !dial.Untrusted(err) {
					t.Errorf("Untrusted(%v) = false", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			greeting := make([]byte, 5)
			if _, err := io.ReadFull(c, greeting); err != nil || string(greeting) != "hello" {
				t.Errorf("read %q, %v", greeting, err)
			}
			if state, ok := c.TLS(); !ok || state.Version < tls.VersionTLS12 {
				t.Errorf("TLS() = %x, %v", state.Version, ok)
			}
		})
	}
}

func TestMissingClientCertificateIsExplainedAfterATLS13Handshake(t *testing.T) {
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(nil)}, ClientAuth: tls.RequireAnyClientCert}
	c, err := connect(t, serveTLS(t, config), dial.Implicit, dial.TLS{CAFile: ca.File})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	wantError(t, err, "tls", "certificate required", "tls.client_cert")
}

// wantError checks stage, words and hint, and that the text is short and clean.
func wantError(t *testing.T, err error, stage, says, hint string) {
	t.Helper()
	var e *dial.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *dial.Error", err, err)
	}
	if e.Stage != stage || !strings.Contains(e.Error(), says) || !strings.Contains(e.Hint, hint) || hint == "" && e.Hint != "" {
		t.Errorf("stage %q, error %q, hint %q; want stage %q, %q, %q", e.Stage, e, e.Hint, stage, says, hint)
	}
	if len(e.Error()) > 600 || len(e.Hint) > 400 || strings.ContainsAny(e.Error()+e.Hint, "\r\n\x00") {
		t.Errorf("error is long or has control octets: %q — %q", e, e.Hint)
	}
}

func TestConfigRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("not PEM\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		fact  string
		block dial.TLS
		says  string
	}{
		{"old version", dial.TLS{MinVersion: "1.1"}, "tls.min_version"},
		{"missing CA file", dial.TLS{CAFile: "/nonexistent/ca.pem"}, "reading tls.ca_file"},
		{"CA file without certificate", dial.TLS{CAFile: empty}, "holds no PEM certificate"},
		{"certificate without key", dial.TLS{ClientCert: "a.pem"}, "set both or neither"},
		{"key without certificate", dial.TLS{ClientKey: "a.pem"}, "set both or neither"},
		{"client certificate that is none", dial.TLS{ClientCert: empty, ClientKey: empty}, "tls.client_cert"},
		{"short pin", dial.TLS{PinSHA256: []string{"YWJj"}}, "tls.pin_sha256"},
		{"pin that is not base64", dial.TLS{PinSHA256: []string{"!"}}, "tls.pin_sha256"},
	}
	for _, test := range tests {
		t.Run(test.fact, func(t *testing.T) {
			if _, err := test.block.Config("mail.example.com"); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Config: %v, want %q", err, test.says)
			}
		})
	}
}

func TestPinMayBeginWithASlash(t *testing.T) {
	hash := strings.Repeat("/", 42) + "8=" // of 32 octets 0xff
	for _, text := range []string{hash, "sha256/" + hash, "sha256//" + hash} {
		if _, err := (dial.TLS{PinSHA256: []string{text}}).Config("mail.example.com"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestVerificationIsOnByDefault(t *testing.T) {
	c, err := dial.TLS{}.Config("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if c.InsecureSkipVerify || c.MinVersion != tls.VersionTLS12 || c.ServerName != "mail.example.com" {
		t.Errorf("config %+v", c)
	}
}
