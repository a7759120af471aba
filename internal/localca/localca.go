// Package localca makes a certificate authority of its own and one certificate
// for this machine's loopback names, for servers that live as long as a test or
// a demonstration. Nothing is read from or written to disk, and no key leaves
// the process unless its holder writes it.
package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// CA is a new authority and the one certificate it has signed: for localhost,
// 127.0.0.1 and ::1, valid for 30 days.
type CA struct {
	PEM     []byte          // the authority's certificate: what a ca_file holds
	CertPEM []byte          // the server's certificate, followed by the authority's
	KeyPEM  []byte          // the server's private key, PKCS #8
	Pair    tls.Certificate // CertPEM and KeyPEM, ready for a server
	pool    *x509.CertPool
}

// New makes an authority and its certificate. Extra DNS names are added to it.
func New(names ...string) (*CA, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	root, err := template("postferry loopback authority")
	if err != nil {
		return nil, err
	}
	root.IsCA, root.BasicConstraintsValid = true, true
	root.KeyUsage = x509.KeyUsageCertSign
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("sign the authority: %w", err)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the server's key: %w", err)
	}
	leaf, err := template("localhost")
	if err != nil {
		return nil, err
	}
	leaf.DNSNames = append([]string{"localhost"}, names...)
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("sign the server's certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the server's key: %w", err)
	}

	ca := &CA{
		PEM:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		pool:   x509.NewCertPool(),
	}
	ca.CertPEM = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}), ca.PEM...)
	if ca.Pair, err = tls.X509KeyPair(ca.CertPEM, ca.KeyPEM); err != nil {
		return nil, fmt.Errorf("pair the server's certificate and key: %w", err)
	}
	ca.pool.AppendCertsFromPEM(ca.PEM)
	return ca, nil
}

// Server is a TLS configuration that presents the certificate.
func (ca *CA) Server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.Pair}, MinVersion: tls.VersionTLS12}
}

// Client is a TLS configuration that trusts this authority only and expects
// the certificate of host.
func (ca *CA) Client(host string) *tls.Config {
	return &tls.Config{RootCAs: ca.pool, ServerName: host, MinVersion: tls.VersionTLS12}
}

func template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(30 * 24 * time.Hour),
	}, nil
}
