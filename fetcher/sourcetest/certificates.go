package sourcetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/dial"
)

// authority signs certificates, good and bad.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	file string // its certificate, for ca_file
}

func newAuthority(t *testing.T) *authority { return newAuthorityWith(t, nil) }

// newAuthorityWith is an authority whose own certificate is edited.
func newAuthorityWith(t *testing.T, edit func(*x509.Certificate)) *authority {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of a test"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if edit != nil {
		edit(c)
	}
	a := &authority{cert: signed(t, c, c, key.Public(), key), key: key}
	a.file = pemFile(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	return a
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t *testing.T, c, by *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, by, key, signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// server is TLS with a certificate of the authority's for 127.0.0.1, edited.
func (a *authority) server(t *testing.T, edit func(*x509.Certificate)) *tls.Config {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(c)
	}
	leaf := signed(t, c, a.cert, key.Public(), a.key)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key, Leaf: leaf}},
		MinVersion:   tls.VersionTLS10,
	}
}

// certificates are those by which a server does not prove who it is, and versions
// in which it could not.
var certificates = []struct {
	fact string
	make func(t *testing.T, a *authority) (*tls.Config, dial.TLS)
	says string
}{
	{"a certificate for another host", edited(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"mail.example.org"} }), "mail.example.org; use that name in server"},
	{"a certificate for another address", edited(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }), "127.0.0.2"},
	{"a certificate that names the host in its common name alone", edited(func(c *x509.Certificate) { c.IPAddresses = nil }), "holds no host name"},
	{"a certificate whose wildcard does not reach so far", func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		c := a.server(t, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.org"} })
		return c, dial.TLS{CAFile: a.file, ServerName: "imap.mail.example.org"}
	}, "*.example.org"},
	{"a certificate for one name while another is wanted", func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		return a.server(t, nil), dial.TLS{CAFile: a.file, ServerName: "mail.example.com"}
	}, "mail.example.com"},
	{"a certificate for two thousand other hosts", edited(func(c *x509.Certificate) {
		c.IPAddresses = nil
		for i := range 2000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host%d.example.org", i))
		}
	}), "host0.example.org, host1.example.org, host2.example.org …"},
	{"a certificate that has expired", edited(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }), "renew the server's certificate"},
	{"a certificate that is not valid yet", edited(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }), "not valid yet"},
	{"a certificate of an authority that has expired", func(t *testing.T, _ *authority) (*tls.Config, dial.TLS) {
		a := newAuthorityWith(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
		return a.server(t, nil), dial.TLS{CAFile: a.file}
	}, "expired"},
	{"a certificate for clients", edited(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "incompatible key usage"},
	{"a certificate signed with SHA-1", edited(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }), "SHA1"},
	{"a certificate with a critical extension nobody knows", edited(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
	}), "unhandled critical extension"},
	{"a certificate of an authority that is not trusted", func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		return newAuthority(t).server(t, nil), dial.TLS{CAFile: a.file}
	}, "unknown authority"},
	{"a certificate of an authority that this machine does not know", func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		return a.server(t, nil), dial.TLS{}
	}, "not trusted here"},
	{"a certificate that vouches for itself", func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		key := newKey(t)
		c := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		leaf := signed(t, c, c, key.Public(), key)
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}, dial.TLS{CAFile: a.file}
	}, "self-signed"},
	{"a certificate signed by one that may sign none", func(t *testing.T, _ *authority) (*tls.Config, dial.TLS) {
		a := newAuthorityWith(t, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
		return a.server(t, nil), dial.TLS{CAFile: a.file}
	}, "certificate"},
	{"a certificate of an authority for other addresses", func(t *testing.T, _ *authority) (*tls.Config, dial.TLS) {
		a := newAuthorityWith(t, func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
		})
		return a.server(t, nil), dial.TLS{CAFile: a.file}
	}, "not permitted"},
	{"a key that is not the pinned one", func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		other := sha256.Sum256([]byte("another key"))
		return a.server(t, nil), dial.TLS{CAFile: a.file, PinSHA256: []string{base64.StdEncoding.EncodeToString(other[:])}}
	}, "tls.pin_sha256"},
	{"TLS 1.1 at the most", versions(tls.VersionTLS10, tls.VersionTLS11, ""), "protocol version"},
	{"TLS 1.0 at the most", versions(tls.VersionTLS10, tls.VersionTLS10, ""), "protocol version"},
	{"TLS 1.2 where 1.3 is wanted", versions(tls.VersionTLS12, tls.VersionTLS12, "1.3"), "protocol version"},
	{"a server that wants a certificate of the client's", func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		c := a.server(t, nil)
		c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
		return c, dial.TLS{CAFile: a.file}
	}, "tls.client_cert"},
}

func edited(edit func(*x509.Certificate)) func(*testing.T, *authority) (*tls.Config, dial.TLS) {
	return func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		return a.server(t, edit), dial.TLS{CAFile: a.file}
	}
}

func versions(least, most uint16, wanted string) func(*testing.T, *authority) (*tls.Config, dial.TLS) {
	return func(t *testing.T, a *authority) (*tls.Config, dial.TLS) {
		c := a.server(t, nil)
		c.MinVersion, c.MaxVersion = least, most
		return c, dial.TLS{CAFile: a.file, MinVersion: wanted}
	}
}
