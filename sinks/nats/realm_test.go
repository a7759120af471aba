package nats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
)

// written is a sink as a file describes it: files are the files beside, by name.
func written(t testing.TB, files map[string]string, keys string) *Sink {
	t.Helper()
	dir := t.TempDir()
	files["postferry.yaml"] = "version: 1\nsinks:\n  pager:\n    type: nats\n    subject: mail.in\n    " + strings.Join(strings.Split(keys, "; "), "\n    ") + "\n"
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	c, err := config.Load([]string{filepath.Join(dir, "postferry.yaml")}, config.Options{})
	must(t, err)
	var o Options
	o.SetDefaults()
	must(t, c.Sinks[0].Section.Decode(&o))
	return makeSink(t, o, payload.Renderer{})
}

// realm is an operator of NATS with an account for mail, one of the server's own, and
// the server they are known to.
type realm struct {
	t                 testing.TB
	server            *mailtest.NATS
	operator, account nkeys.KeyPair
	claims            *jwt.AccountClaims
	system            *nats.Conn
}

func newRealm(t testing.TB) *realm {
	t.Helper()
	r := &realm{t: t}
	var err error
	r.operator, err = nkeys.CreateOperator()
	must(t, err)
	r.account, err = nkeys.CreateAccount()
	must(t, err)
	system, err := nkeys.CreateAccount()
	must(t, err)
	operator := jwt.NewOperatorClaims(public(t, r.operator))
	operator.Name, operator.SystemAccount = "operator", public(t, system)
	root, err := operator.Encode(r.operator)
	must(t, err)
	ours := jwt.NewAccountClaims(public(t, system))
	ours.Name = "SYS"
	sys, err := ours.Encode(r.operator)
	must(t, err)
	r.claims = jwt.NewAccountClaims(public(t, r.account))
	r.claims.Name = "MAIL"
	r.claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	r.server = mailtest.StartNATS(t, "operator: "+root, "system_account: "+public(t, system),
		fmt.Sprintf("resolver: { type: full, dir: %q, timeout: 100ms }", t.TempDir()),
		fmt.Sprintf("resolver_preload: { %s: %s, %s: %s }", public(t, system), sys, r.claims.Subject, r.accountJWT()))
	r.system, err = nats.Connect(r.server.URL, nats.UserCredentialBytes([]byte(r.creds(system, func(*jwt.UserClaims) {}))))
	must(t, err)
	t.Cleanup(r.system.Close)
	return r
}

func public(t testing.TB, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	must(t, err)
	return key
}

func (r *realm) accountJWT() string {
	r.t.Helper()
	text, err := r.claims.Encode(r.operator)
	must(r.t, err)
	return text
}

// creds are those of a new user of an account, as nsc writes them.
func (r *realm) creds(account nkeys.KeyPair, change func(*jwt.UserClaims)) string {
	r.t.Helper()
	user, err := nkeys.CreateUser()
	must(r.t, err)
	claims := jwt.NewUserClaims(public(r.t, user))
	claims.Name = "postferry"
	change(claims)
	token, err := claims.Encode(account)
	must(r.t, err)
	seed, err := user.Seed()
	must(r.t, err)
	file, err := jwt.FormatUserConfig(token, seed)
	must(r.t, err)
	return string(file)
}

// revoke takes from a user what its credentials allow, and returns when the server
// knows.
func (r *realm) revoke(user string) {
	r.t.Helper()
	r.claims.Revoke(user)
	answer, err := r.system.Request("$SYS.REQ.ACCOUNT."+r.claims.Subject+".CLAIMS.UPDATE", []byte(r.accountJWT()), 30*time.Second)
	must(r.t, err)
	var said struct{ Data struct{ Code int } }
	must(r.t, json.Unmarshal(answer.Data, &said))
	if said.Data.Code != 200 {
		r.t.Fatalf("the server says %s", answer.Data)
	}
}

// secretsOf are what must not be told of a creds file: its JWT and its seed.
func secretsOf(t testing.TB, creds string) []string {
	t.Helper()
	token, err := jwt.ParseDecoratedJWT([]byte(creds))
	must(t, err)
	pair, err := jwt.ParseDecoratedUserNKey([]byte(creds))
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	return []string{token, string(seed)}
}

// toldNothing tells that no secret is in what a sink says of itself.
func toldNothing(t testing.TB, s *Sink, err error, secrets ...string) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %v %+v", err, err, s, s.Check(t.Context()))
	for _, secret := range secrets {
		if strings.Contains(said, secret) {
			t.Errorf("a secret is told: %s", said)
		}
	}
}

// clientCertificate is one that a client signed itself, with its key.
func clientCertificate(t testing.TB) (certificate, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &pair.PublicKey, pair)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(pair)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
