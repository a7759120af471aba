package dial

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

// describe says what TLS has established: version, names, issuer and the days
// the certificate has left. What stands in the certificate goes through clean.
func describe(state tls.ConnectionState, now time.Time, clean func(string) string) (said, warning string) {
	said = tls.VersionName(state.Version)
	if len(state.PeerCertificates) == 0 {
		return said, ""
	}
	leaf := state.PeerCertificates[0]
	left := leaf.NotAfter.Sub(now)
	until := leaf.NotAfter.UTC().Format(time.DateOnly)
	said += fmt.Sprintf(", certificate for %s by %s, %s left (until %s)", clean(names(leaf)), clean(issuer(leaf)), days(left), until)
	if left < soon {
		warning = fmt.Sprintf("the certificate ends on %s; have it renewed before", until)
	}
	return said, warning
}

func days(d time.Duration) string {
	if n := int(d / (24 * time.Hour)); n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}

// names are those the certificate is valid for, the first three.
func names(c *x509.Certificate) string {
	all := c.DNSNames
	for _, ip := range c.IPAddresses {
		all = append(all[:len(all):len(all)], ip.String())
	}
	switch n := len(all); {
	case n == 0:
		return "no name"
	case n > 3:
		return fmt.Sprintf("%s and %d more", Printable(strings.Join(all[:3], ", ")), n-3)
	}
	return Printable(strings.Join(all, ", "))
}

func issuer(c *x509.Certificate) string {
	switch {
	case len(c.Issuer.Organization) > 0 && c.Issuer.CommonName != "":
		return Printable(c.Issuer.Organization[0] + " " + c.Issuer.CommonName)
	case c.Issuer.CommonName != "":
		return Printable(c.Issuer.CommonName)
	}
	return Printable(c.Issuer.String())
}
