package dial

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLS says whom to trust and how to prove who we are: the tls: block of the
// configuration, in the fields of config.TLS. The zero TLS trusts the machine's
// certificate authorities.
type TLS struct {
	// CAFile holds PEM certificates that are trusted instead of the machine's.
	CAFile string
	// ServerName is verified, and sent, in place of the host.
	ServerName string
	// PinSHA256 lists base64 SHA-256 hashes of public keys (SubjectPublicKeyInfo).
	// When there are any, the server's own certificate must have one of them, and
	// still be valid in every other way.
	PinSHA256 []string
	// ClientCert and ClientKey are PEM files; both or neither.
	ClientCert string
	ClientKey  string
	// MinVersion is "1.2" (the default) or "1.3".
	MinVersion string
}

// errPin is what a handshake fails with when no pin fits.
var errPin = errors.New("the server's public key is not one of tls.pin_sha256")

// Config reads the files named in t and makes a client configuration for host.
// Verification of chain, name and dates is always on.
func (t TLS) Config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12} // RFC 8314 section 4.1 and RFC 9325 section 3.1.1
	if t.ServerName != "" {
		c.ServerName = t.ServerName
	}
	switch t.MinVersion {
	case "", "1.2":
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("tls.min_version %q is not \"1.2\" or \"1.3\"", Printable(t.MinVersion))
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file %s holds no PEM certificate", t.CAFile)
		}
	}
	if (t.ClientCert == "") != (t.ClientKey == "") {
		return nil, errors.New("tls.client_cert and tls.client_key go together: set both or neither")
	}
	if t.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(t.ClientCert, t.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("reading tls.client_cert and tls.client_key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, t.pin(c)
}

// pin makes c refuse a server whose own key has none of the pins. It runs after
// the usual verification, on resumed connections too.
func (t TLS) pin(c *tls.Config) error {
	if len(t.PinSHA256) == 0 {
		return nil
	}
	var pins [][]byte
	for _, text := range t.PinSHA256 {
		bare := strings.TrimPrefix(text, "sha256/")
		if len(bare) == base64.StdEncoding.EncodedLen(sha256.Size)+1 {
			bare = strings.TrimPrefix(bare, "/") // curl writes sha256//…; the hash itself may begin with / too
		}
		pin, err := base64.StdEncoding.DecodeString(bare)
		if err != nil || len(pin) != sha256.Size {
			return fmt.Errorf("tls.pin_sha256 %q is not the base64 of a SHA-256 hash (44 characters)", Printable(text))
		}
		pins = append(pins, pin)
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		got := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
		for _, pin := range pins {
			if bytes.Equal(pin, got[:]) {
				return nil
			}
		}
		return fmt.Errorf("%w: it is %s", errPin, base64.StdEncoding.EncodeToString(got[:]))
	}
	return nil
}
