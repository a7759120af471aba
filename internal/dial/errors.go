package dial

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrBudget is in the chain of the error of a read past the budget.
var ErrBudget = errors.New("the server sent more than the session may read")

// Error is a failure of a connection. It implements net.Error.
type Error struct {
	Stage string // "dns", "tcp", "tls"; later "read" or "write"
	Err   error
	Hint  string // what the operator can change; may be empty, is not part of Error()
}

// Error is the failure in words, control octets of the server escaped.
func (e *Error) Error() string { return Printable(e.Err.Error()) }

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Timeout implements net.Error.
func (e *Error) Timeout() bool {
	return errors.Is(e.Err, os.ErrDeadlineExceeded) || errors.Is(e.Err, context.DeadlineExceeded)
}

// Temporary implements net.Error; it is always false, since errors are sticky.
func (e *Error) Temporary() bool { return false }

// Untrusted reports whether err says that TLS did not establish who the server
// is or how to speak to it, as opposed to a network that failed in between.
func Untrusted(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Stage != "tls" || e.Timeout() {
		return false
	}
	return !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, context.Canceled)
}

const (
	resolverHint  = "this machine's name server does not answer; check /etc/resolv.conf and the network"
	silentTLSHint = "the server accepted the connection and then said nothing; check the port, and that it expects TLS there"
)

func silentPortHint(timeout time.Duration) string {
	return fmt.Sprintf("nothing answered within %s; check host and port in server, and the firewalls in between", timeout)
}

// connectError grades a failure to resolve or connect.
func connectError(s Server, timeout time.Duration, err error) error {
	e := &Error{Stage: "tcp", Err: fmt.Errorf("connecting to %s: %w", s.Address(), err)}
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
	case errors.As(err, &dns):
		e.Stage, e.Err = "dns", fmt.Errorf("looking up %s: %w", s.Host, err)
		e.Hint = resolverHint
		if dns.IsNotFound {
			e.Hint = "check the host name in server"
		}
	case e.Timeout():
		e.Hint = silentPortHint(timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = "nothing listens there; check the port in server and that the server runs"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		e.Hint = "there is no route to it; check the network of this machine"
	default:
		e.Hint = "check host and port in server"
	}
	return e
}

// handshakeError grades a failed handshake by what the operator can do.
func handshakeError(s Server, config *tls.Config, err error) error {
	e := &Error{Stage: "tls", Err: fmt.Errorf("TLS with %s: %w", s.Address(), err)}
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		header    tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, errPin):
		e.Hint = "if the server changed its key on purpose, put the new hash in tls.pin_sha256"
	case errors.As(err, &authority):
		e.Hint = authorityHint(ownCertificate(err, authority.Cert))
	case errors.As(err, &name):
		e.Hint = nameHint(name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		e.Hint = "the certificate is not valid yet; set the clock of this machine, or have the certificate issued anew"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Hint = "renew the server's certificate, or set the clock of this machine"
	case errors.As(err, &header):
		e.Hint = "the server does not speak TLS on this port; check the port, or use " + strings.TrimSuffix(s.Scheme, "s") + ":// for an upgrade in band"
	case isAlert(err):
		e.Hint = alertHint(err, config)
	case e.Timeout():
		e.Hint = silentTLSHint
	case strings.Contains(err.Error(), "protocol version"):
		e.Hint = "the server offers only TLS versions that are no longer safe; have it upgraded"
	default:
		e.Hint = "check that the server expects TLS on this port"
	}
	return e
}

// ownCertificate is the server's own of the certificates it showed; doubted is the
// one whose issuer is not known, which may be an authority's.
func ownCertificate(err error, doubted *x509.Certificate) *x509.Certificate {
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(failed.UnverifiedCertificates) > 0 {
		return failed.UnverifiedCertificates[0]
	}
	return doubted
}

// authorityHint tells a certificate that vouches for itself from one by an
// issuer nobody here knows.
func authorityHint(c *x509.Certificate) string {
	if c != nil && bytes.Equal(c.RawIssuer, c.RawSubject) {
		return "the certificate is self-signed; if it is yours, name it in tls.ca_file"
	}
	return "the certificate's issuer is not trusted here; if this is your own CA name it in tls.ca_file"
}

// nameHint says which names the certificate does hold; a hostile certificate
// may hold thousands.
func nameHint(err x509.HostnameError) string {
	names := err.Certificate.DNSNames
	if len(names) == 0 {
		return "the certificate holds no host name; have it renewed with a subjectAltName"
	}
	more := ""
	if len(names) > 3 {
		names, more = names[:3], " …"
	}
	return "the certificate is for " + Printable(strings.Join(names, ", ")) + more + "; use that name in server, or set tls.server_name"
}

// isAlert reports whether the server ended TLS with an alert. crypto/tls has no
// exported type for it.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// alertHint explains the alerts an operator meets.
func alertHint(err error, config *tls.Config) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "protocol version"):
		return fmt.Sprintf("the server does not offer TLS %s or later", strings.TrimPrefix(tls.VersionName(config.MinVersion), "TLS "))
	case strings.Contains(text, "certificate"):
		return "the server wants a client certificate it trusts; set tls.client_cert and tls.client_key"
	case len(config.Certificates) == 0:
		return "the server refused the handshake; its log says why. If it wants a client certificate, set tls.client_cert and tls.client_key"
	default:
		return "the server refused the handshake; its log says why"
	}
}
