package submit_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/smtp/submit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "ada@example.com"
	password = "hunter2-canary"
	letter   = "From: ada@example.com\r\nTo: b@example.com\r\nSubject: hello\r\n\r\nGood day.\r\n"
)

// certified makes a certificate for 127.0.0.1 and what a client needs to trust it.
func certified(t testing.TB) (server *tls.Config, client dial.TLS) {
	t.Helper()
	ca, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{ca.Pair}}, dial.TLS{CAFile: file}
}

// client makes one for the server, in plain text unless edit says otherwise.
func client(t testing.TB, s *smtpd.Server, edit func(*submit.Options)) *submit.Client {
	t.Helper()
	o := submit.Options{Server: dial.Server{Scheme: "smtp", Host: s.Host, Port: s.Port, Mode: dial.Plain}}
	if edit != nil {
		edit(&o)
	}
	c, err := submit.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// signed adds a sign-in by password.
func signed(o *submit.Options) { o.Username, o.Password = user, secret.New(password) }

// mail is a Maker of these octets.
func mail(octets string, to ...string) submit.Maker {
	return func(submit.Offers) (*submit.Mail, error) {
		return &submit.Mail{
			Envelope: submit.Envelope{From: "ada@example.com", To: to},
			Size:     int64(len(octets)),
			Open:     func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(octets))), nil },
		}, nil
	}
}
