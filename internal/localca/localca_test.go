package localca

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// handshake runs one TLS handshake over a loopback pair and returns the
// client's error.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		io.Copy(io.Discard, c)
		c.Close()
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tc := tls.Client(c, client)
	err = tc.Handshake()
	c.Close()
	<-done
	return err
}

func TestCertificateIsForLoopbackNames(t *testing.T) {
	ca, err := New("mail.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		host string
		ok   bool
	}{{"localhost", true}, {"127.0.0.1", true}, {"::1", true}, {"mail.example", true}, {"elsewhere.example", false}} {
		err := handshake(t, ca.Server(), ca.Client(tc.host))
		if (err == nil) != tc.ok {
			t.Errorf("handshake with %s: %v, want success %v", tc.host, err, tc.ok)
		}
	}
}

func TestAnotherAuthorityIsNotTrusted(t *testing.T) {
	ca, err := New()
	if err != nil {
		t.Fatal(err)
	}
	other, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, ca.Server(), other.Client("localhost")); err == nil {
		t.Fatal("a client of another authority trusted the certificate")
	}
}
