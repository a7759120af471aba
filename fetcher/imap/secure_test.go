package imap_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/fetcher/sourcetest"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
)

func TestNoServerIsSignedInToThatDoesNotProveWhoItIs(t *testing.T) {
	sourcetest.RunSecured(t, sourcetest.Secured{
		Serve: func(t *testing.T, mode dial.Mode, server *tls.Config) string {
			s := imapd.Start(t, imapd.Options{TLS: server, Implicit: mode == dial.Implicit})
			return net.JoinHostPort(s.Host, s.Port)
		},
		Source: func(t *testing.T, server dial.Server, trust dial.TLS, username string, password secret.Secret) fetcher.Source {
			return newSource(t, imap.Options{Server: server, TLS: trust, Username: username, Password: password})
		},
	})
}
