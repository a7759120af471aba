package nats

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestCredentialsOfAnOperatorsUser(t *testing.T) {
	r := newRealm(t)
	good := r.creds(r.account, func(*jwt.UserClaims) {})
	at := &stream{t: t}
	at.connect(r.server, nats.UserCredentialBytes([]byte(good)))
	at.set(func(*jetstream.StreamConfig) {})
	stranger, err := nkeys.CreateAccount()
	must(t, err)
	var revoked string
	withdrawn := r.creds(r.account, func(c *jwt.UserClaims) { revoked = c.Subject })
	r.revoke(revoked)
	other := r.creds(r.account, func(*jwt.UserClaims) {})
	crossed := strings.ReplaceAll(good, secretsOf(t, good)[1], secretsOf(t, other)[1])
	for _, c := range []struct{ fact, fault, creds string }{
		{"good ones", "none", good},
		{"with line ends of Windows", "none", strings.ReplaceAll(good, "\n", "\r\n")},
		{"expired ones", "sink", r.creds(r.account, func(c *jwt.UserClaims) { c.Expires = time.Now().Add(-time.Hour).Unix() })},
		{"revoked ones", "sink", withdrawn},
		{"of an account the operator does not know", "sink", r.creds(stranger, func(*jwt.UserClaims) {})},
		{"with the seed of another user", "sink", crossed},
		{"for connections from elsewhere", "sink", r.creds(r.account, func(c *jwt.UserClaims) { c.Src = jwt.CIDRList{"192.0.2.0/24"} })},
		{"for another subject", "sink", r.creds(r.account, func(c *jwt.UserClaims) { c.Pub.Allow.Add("elsewhere") })},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := written(t, map[string]string{"pager.creds": c.creds}, "url: nats://"+r.server.Addr+"; creds_file: pager.creds")
			receipt, err := deliver(t, s, sinktest.Mail)
			if fault(err) != c.fault || err == nil && !strings.HasPrefix(receipt.Detail, "stream MAIL, ") {
				t.Errorf("%s: %v, %+v", fault(err), err, receipt)
			}
			if found := s.Check(t.Context()); found[0].OK != (c.fault == "none" || c.fact == "for another subject") || !found[0].OK && (found[0].Step != "sign-in" || !strings.Contains(found[0].Fix, "creds")) {
				t.Errorf("found %+v", found)
			}
			if c.fact == "for another subject" {
				found := s.Check(t.Context())
				if len(found) != 2 || !strings.Contains(found[1].Said, "Permissions Violation") || !strings.Contains(found[1].Fix, "$JS.API.STREAM.NAMES") {
					t.Errorf("found %+v", found)
				}
			}
			toldNothing(t, s, err, secretsOf(t, c.creds)...)
		})
	}
	if got := len(at.all()); got != 1 {
		t.Errorf("%d messages are there", got)
	}
}

func TestCredentialsThatAreRevokedMeanwhileHoldTheSink(t *testing.T) {
	r := newRealm(t)
	at := &stream{t: t}
	at.connect(r.server, nats.UserCredentialBytes([]byte(r.creds(r.account, func(*jwt.UserClaims) {}))))
	at.set(func(*jetstream.StreamConfig) {})
	var user string
	creds := r.creds(r.account, func(c *jwt.UserClaims) { user = c.Subject })
	s := written(t, map[string]string{"pager.creds": creds}, "url: nats://"+r.server.Addr+"; creds_file: pager.creds")
	if _, err := deliver(t, s, sinktest.Mail); err != nil {
		t.Fatal(err)
	}
	c, err := s.link.Use(t.Context())
	must(t, err)
	r.revoke(user)
	<-c.ended // the server has closed the connection
	_, err = s.Deliver(t.Context(), sinktest.Delivery(t, 2, sinktest.Mail))
	if fault(err) != "sink" || len(at.stored(sinktest.ID(2))) != 0 {
		t.Errorf("%s: %v", fault(err), err)
	}
	toldNothing(t, s, err, secretsOf(t, creds)...)
}

func TestTheSeedOfAnNKeyInAFile(t *testing.T) {
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	other, err := nkeys.CreateUser()
	must(t, err)
	wrong, err := other.Seed()
	must(t, err)
	n := mailtest.StartNATS(t, "authorization { users = [ {nkey: "+public(t, pair)+"} ] }")
	at := &stream{t: t}
	at.connect(n, nats.Nkey(public(t, pair), pair.Sign))
	at.set(func(*jetstream.StreamConfig) {})
	for _, c := range []struct{ fact, fault, file string }{
		{"the user's", "none", string(seed) + "\n"},
		{"without an end of line", "none", string(seed)},
		{"another user's", "sink", string(wrong) + "\n"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := written(t, map[string]string{"pager.nk": c.file}, "url: nats://"+n.Addr+"; nkey_file: pager.nk")
			_, err := deliver(t, s, sinktest.Mail)
			if fault(err) != c.fault {
				t.Errorf("%s: %v", fault(err), err)
			}
			toldNothing(t, s, err, strings.TrimSpace(c.file))
		})
	}
}

func TestAServerThatAsksForACertificate(t *testing.T) {
	dir := t.TempDir()
	ca, err := localca.New()
	must(t, err)
	another, err := localca.New()
	must(t, err)
	certificate, key := clientCertificate(t)
	strange, strangeKey := clientCertificate(t)
	for name, text := range map[string]string{"cert.pem": string(ca.CertPEM), "key.pem": string(ca.KeyPEM), "clients.pem": certificate} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	n := mailtest.StartNATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", dir+"/cert.pem", dir+"/key.pem", dir+"/clients.pem"))
	admin := *n
	admin.URL = "tls://" + n.Addr
	must(t, os.WriteFile(filepath.Join(dir, "client-key.pem"), []byte(key), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), ca.PEM, 0o600))
	newStream(t, &admin, nats.RootCAs(dir+"/ca.pem"), nats.ClientCert(dir+"/clients.pem", dir+"/client-key.pem"))
	own := "; tls: {ca_file: ca.pem, client_cert: client.pem, client_key: client.key}"
	for _, c := range []struct {
		fact, fault, says string
		ca                *localca.CA
		certificate, key  string
		keys              string
	}{
		{"own authority and client certificate", "none", "", ca, certificate, key, own},
		{"no client certificate", "sink", "tls.client_cert", ca, certificate, key, "; tls: {ca_file: ca.pem}"},
		{"a client certificate of nobody's", "sink", "tls.client_cert", ca, strange, strangeKey, own},
		{"another authority", "sink", "tls.ca_file", another, certificate, key, own},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := written(t, map[string]string{"ca.pem": string(c.ca.PEM), "client.pem": c.certificate, "client.key": c.key}, "url: tls://"+n.Addr+c.keys)
			_, err := deliver(t, s, sinktest.Mail)
			if fault(err) != c.fault || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", fault(err), err)
			}
			if found := s.Check(t.Context()); found[0].OK != (c.fault == "none") || !found[0].OK && found[0].Step != "TLS" {
				t.Errorf("found %+v", found)
			}
		})
	}
}
