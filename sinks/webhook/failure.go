package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
)

// failed grades a request that got no answer. Name resolution and TLS are the
// sink's fault; everything else the network does passes.
func (s *Sink) failed(parent context.Context, host string, err error) error {
	if parent.Err() != nil { // shutting down: nothing is known of the sink
		return fmt.Errorf("posting to %s: %w", host, context.Cause(parent))
	}
	// Whom a mail names may be anybody: it holds no sink.
	fault, whose := sinks.SinkFault, "check the host in the sink's url, and this machine's name server"
	if s.target.hostMade {
		fault, whose = func(err error) error { return err }, "the mail names the host"
	}
	if errors.Is(err, errForbidden) {
		if s.target.hostMade {
			return sinks.Permanent(fmt.Errorf("posting to %s: %s", host, s.clean(err)))
		}
		return sinks.SinkFault(fmt.Errorf("posting to %s: %s — if that is meant, name its network in allow_networks", host, s.clean(err)))
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fault(fmt.Errorf("looking up %s: %s — %s", host, s.clean(err), whose))
	}
	if why, is := untrusted(err); is {
		return fault(fmt.Errorf("TLS with %s: %s — %s", host, s.clean(err), why))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("posting to %s: no answer within the sink's timeout of %s", host, s.timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("posting to %s: connection refused — check that the receiver runs, and the port in the sink's url", host)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("posting to %s: the receiver closed the connection without an answer", host)
	}
	return fmt.Errorf("posting to %s: %s", host, s.clean(err))
}

// clean is the error in words, without the sink's secrets and harmless to show.
func (s *Sink) clean(err error) string { return dial.Printable(s.redact.Replace(err.Error())) }

// untrusted tells whether TLS failed, as opposed to the network below it, and
// what can be done.
func untrusted(err error) (advice string, is bool) {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		name         x509.HostnameError
		invalid      x509.CertificateInvalidError
		header       tls.RecordHeaderError
		alert        tls.AlertError
		op           *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "the certificate's issuer is not trusted here; if it is your own CA, name it in tls.ca_file", true
	case errors.As(err, &name):
		return "use a name of the certificate in the sink's url, or set tls.server_name", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the receiver's certificate, or set the clock of this machine", true
	case errors.As(err, &verification), errors.As(err, &invalid):
		return "check the receiver's certificate and the sink's tls", true
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the receiver does not speak TLS on this port; check the port, or use http://", true
	case errors.As(err, &alert), errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"):
		return "the receiver refused; if it asks for a client certificate, set tls.client_cert and tls.client_key", true
	case strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "tls.pin_sha256"):
		return "check the receiver's certificate and the sink's tls", true
	}
	return "", false
}
