package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest/kafkad"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// file is one of the test's own with that text.
func file(t testing.TB, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

func authority(t testing.TB) *localca.CA {
	t.Helper()
	ca, err := localca.New()
	must(t, err)
	return ca
}

// toldNothing tells that no password is in what a sink says of itself.
func toldNothing(t testing.TB, s *Sink, err error) {
	t.Helper()
	if said := fmt.Sprintf("%v %+v %v %+v", err, err, s, s.Check(t.Context())); strings.Contains(said, "password-of-kafka") {
		t.Errorf("a password is told: %s", said)
	}
}

// TestSignInOverTLS is against a broker with an authority of its own, which knows
// three users.
func TestSignInOverTLS(t *testing.T) {
	ca := authority(t)
	trust, other := &config.TLS{CAFile: file(t, ca.PEM)}, &config.TLS{CAFile: file(t, authority(t).PEM)}
	b := kafkad.Start(t, []string{"mail"}, kfake.TLS(ca.Server()), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "p", password), kfake.Superuser("SCRAM-SHA-256", "s256", password), kfake.Superuser("SCRAM-SHA-512", "s512", password))
	const wrong = "b-password-of-kafka"
	accepted := 0
	for _, c := range []struct {
		fact                 string
		auth, user, password string
		tls                  *config.TLS
		step, says           string // what goes wrong; "" for nothing
	}{
		{"PLAIN", "plain", "p", password, trust, "", ""},
		{"SCRAM-SHA-256", "scram-sha-256", "s256", password, trust, "", ""},
		{"SCRAM-SHA-512", "scram-sha-512", "s512", password, trust, "", ""},
		{"PLAIN and another password", "plain", "p", wrong, trust, "connection", "username, password, auth"},
		{"SCRAM-SHA-256 and another password", "scram-sha-256", "s256", wrong, trust, "connection", "username, password, auth"},
		{"SCRAM-SHA-512 and another password", "scram-sha-512", "s512", wrong, trust, "connection", "username, password, auth"},
		{"a user of another mechanism", "scram-sha-256", "s512", password, trust, "connection", "username, password, auth"},
		{"nobody", "", "", "", trust, "sign-in", "check username, password and auth"},
		{"an authority that is not the broker's", "plain", "p", password, other, "TLS", "tls.ca_file"},
		{"the authorities of the system", "plain", "p", password, &config.TLS{}, "TLS", "tls.ca_file"},
		{"another name", "plain", "p", password, &config.TLS{CAFile: trust.CAFile, ServerName: "kafka.example.com"}, "TLS", "kafka.example.com"},
		{"clear text", "plain", "p", password, nil, "connection", "it may want TLS"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "mail", Auth: c.auth, Username: c.user, Password: secret.New(c.password), TLS: c.tls}, payload.Renderer{})
			_, err := deliver(t, s, sinktest.Mail)
			found := s.Check(t.Context())[0]
			toldNothing(t, s, err)
			if c.step == "" {
				accepted++
				if err != nil || !found.OK || !strings.Contains(found.Said, "with TLS, signed in as "+c.user) {
					t.Errorf("%v, found %+v", err, found)
				}
				return
			}
			if fault(err) != "sink" || !strings.Contains(err.Error(), c.says) || found.OK || found.Step != c.step || !strings.Contains(found.Said+found.Fix, c.says) {
				t.Errorf("%s: %v, found %+v", fault(err), err, found)
			}
		})
	}
	if got := len(b.Records(t, "mail", kgo.DialTLSConfig(ca.Client("127.0.0.1")), kgo.SASL(plain.Auth{User: "p", Pass: password}.AsMechanism()))); got != accepted || got != 3 {
		t.Errorf("%d records are there, of %d that were accepted", got, accepted)
	}
}

// TestARefusedSignInIsTheSinksFault is with the words of Kafka, which kfake has not.
func TestARefusedSignInIsTheSinksFault(t *testing.T) {
	b := kafkad.Start(t, []string{"mail"}, kfake.EnableSASL(), kfake.Superuser("PLAIN", "p", password))
	b.ControlKey(int16(kmsg.SASLAuthenticate), func(asked kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		answer := asked.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode, answer.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("Authentication failed: Invalid username or password for p with "+password)
		return answer, nil, true
	})
	s := makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "mail", Username: "p", Password: secret.New(password)}, payload.Renderer{})
	_, err := deliver(t, s, sinktest.Mail)
	if fault(err) != "sink" || !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") || !strings.Contains(err.Error(), "check username, password and auth") {
		t.Errorf("%s: %v", fault(err), err)
	}
	if found := s.Check(t.Context())[0]; found.OK || found.Step != "sign-in" || found.Fix != "check username, password and auth" {
		t.Errorf("found %+v", found)
	}
	toldNothing(t, s, err)
}

func TestABrokerThatAsksForACertificate(t *testing.T) {
	ca := authority(t)
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &pair.PublicKey, pair)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	must(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	asks := ca.Server()
	asks.ClientAuth, asks.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	asks.ClientCAs.AppendCertsFromPEM(certificate)
	b := kafkad.Start(t, []string{"mail"}, kfake.TLS(asks))
	trust := config.TLS{CAFile: file(t, ca.PEM)}
	with := trust
	with.ClientCert, with.ClientKey = file(t, certificate), file(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if _, err := deliver(t, makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "mail", TLS: &with}, payload.Renderer{}), sinktest.Mail); err != nil {
		t.Errorf("with one: %v", err)
	}
	_, err = deliver(t, makeSink(t, Options{Brokers: []string{b.Addr}, Topic: "mail", TLS: &trust}, payload.Renderer{}), sinktest.Mail)
	if fault(err) != "sink" || !strings.Contains(err.Error(), "tls.client_cert") {
		t.Errorf("without: %s, %v", fault(err), err)
	}
}

// TestABrokerWithoutTLS: to Kafka a ClientHello is a request of 369 MB, and it closes
// the connection.
func TestABrokerWithoutTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var closing sync.WaitGroup
	defer closing.Wait()
	defer l.Close()
	closing.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			c.Read(make([]byte, 4))
			c.Close()
		}
	})
	s := makeSink(t, Options{Brokers: []string{l.Addr().String()}, Topic: "mail", TLS: &config.TLS{}}, payload.Renderer{})
	if _, err := deliver(t, s, sinktest.Mail); fault(err) != "sink" || !strings.Contains(err.Error(), "no TLS at this port") {
		t.Errorf("%s: %v", fault(err), err)
	}
}
