package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
)

// authority issues the certificates of one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-90 * 24 * time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, key := a.sign(a.cert, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key = key
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a certificate; with no key of the authority it signs itself.
func (a *authority) sign(template *x509.Certificate, by *ecdsa.PrivateKey) (der []byte, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent := a.cert
	if by == nil {
		parent, by = template, key
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by); err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// server is a TLS configuration with a certificate for 127.0.0.1, as edit wants
// it.
func (a *authority) server(self bool, edit func(*x509.Certificate)) *tls.Config {
	a.t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(60 * 24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if edit != nil {
		edit(c)
	}
	by := a.key
	if self {
		by = nil
	}
	der, key := a.sign(c, by)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// greets is a server that says one thing over TLS and nothing more.
func greets(t *testing.T, config *tls.Config, greeting string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if s := tls.Server(c, config); s.Handshake() == nil {
				io.WriteString(s, greeting)
				io.Copy(io.Discard, s)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestCheckTellsCauseAndFixOfEachFailure(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := dead.Addr().String()
	dead.Close()
	foreign, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	dovecot := mailtest.StartDovecot(t)
	dovecot.AddUser(t, ada, password)
	dovecot.CreateFolder(t, ada, "Invoices")
	binary := mailtest.BuildBinary(t)
	ca := newAuthority(t)
	foreignFile := filepath.Join(t.TempDir(), "foreign.pem")
	if err := os.WriteFile(foreignFile, foreign.PEM, 0o600); err != nil {
		t.Fatal(err)
	}

	over := func(self bool, edit func(*x509.Certificate)) string {
		return "imaps://" + greets(t, ca.server(self, edit), "")
	}
	old := ca.server(false, nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	imap := func(script imapd.Script) string {
		s := imapd.Start(t, imapd.Options{Script: script})
		return "imap://" + net.JoinHostPort(s.Host, s.Port)
	}
	pop3 := func(script pop3d.Script) string {
		s := pop3d.Start(t, script, []byte("Subject: 1\r\n\r\none\r\n"))
		return "pop3://" + net.JoinHostPort(s.Host, s.Port)
	}
	const clear = "insecure: true"
	now := time.Now()
	for _, c := range []struct {
		fact, server string
		more         string // further keys, in place of the password and authority that are right
		code         int
		step         string // that fails
		says, fix    string
	}{
		{"no such host", "pop3s://nowhere.invalid", "", 69, "DNS", "nowhere.invalid", "check the host name"},
		{"nothing listens", "imaps://" + nobody, "", 69, "TCP", "refused", "nothing listens there"},
		{"plain text to a TLS port", dovecot.URL("imaps"), "plain", 69, "greeting", "no answer within", "use imaps://"},
		{"plain POP3 to a TLS port", dovecot.URL("pop3s"), "plain", 69, "greeting", "no answer within", "use pop3s://"},
		{"TLS to a plain port", dovecot.URL("imap"), "secure", 69, "TLS", "does not look like a TLS handshake", "use imap://"},
		{"an authority's file that is missing", dovecot.URL("imaps"), "tls: {ca_file: none.pem}", 78, "config", "mailboxes.box.tls: reading tls.ca_file", ""},
		{"another authority", dovecot.URL("imaps"), "tls: {ca_file: " + foreignFile + "}", 69, "TLS", "unknown authority", "tls.ca_file"},
		{"another authority after STARTTLS", dovecot.URL("imap"), "tls: {ca_file: " + foreignFile + "}", 69, "TLS", "unknown authority", "tls.ca_file"},
		{"another authority after STLS", dovecot.URL("pop3"), "tls: {ca_file: " + foreignFile + "}", 69, "TLS", "unknown authority", "tls.ca_file"},
		{"self-signed", over(true, nil), "", 69, "TLS", "unknown authority", "self-signed"},
		{"wrong name", over(false, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"mail.example.com"} }), "", 69, "TLS", "127.0.0.1", "the certificate is for mail.example.com"},
		{"expired", over(false, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), "", 69, "TLS", "expired", "renew"},
		{"not valid yet", over(false, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), "", 69, "TLS", "not yet valid", "set the clock"},
		{"old TLS", "imaps://" + greets(t, old, ""), "", 69, "TLS", "protocol version", "TLS 1.2 or later"},
		{"another protocol behind TLS", "imaps://" + greets(t, ca.server(false, nil), "+OK POP3 ready\r\n"), "", 76, "greeting", "broke the protocol", "check that server names an IMAP server"},
		{"STARTTLS refused", imap(nil), "", 69, "TLS", "BAD no TLS here", "use imaps:// if the server offers it"},
		{"STLS refused", pop3(nil), "", 69, "TLS", "refuses STLS: -ERR", "use pop3s:// if the server offers it"},
		{"greeted by BYE", imap(imapd.Script{"": imapd.Cut("* BYE too many connections\r\n")}), clear, 75, "greeting", "BYE too many connections", "tried again"},
		{"SMTP where POP3 is expected", pop3(pop3d.Script{"": pop3d.Say("220 mail ESMTP\r\n")}), clear, 76, "greeting", "220 mail ESMTP", "names a POP3 server"},
		{"wrong password over IMAP", dovecot.URL("imaps"), "password: wrong", 77, "sign-in", "NO [AUTHENTICATIONFAILED]", "check username and password"},
		{"wrong password over POP3", dovecot.URL("pop3s"), "password: wrong", 77, "sign-in", "-ERR [AUTH]", "check username and password"},
		{"Google wants an app password", imap(imapd.Script{"AUTHENTICATE": imapd.Say("$ NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)\r\n")}),
			clear, 77, "sign-in", "answer/185833", "myaccount.google.com/apppasswords"},
		{"Google wants an app password over POP3", pop3(pop3d.Script{"PASS": pop3d.Say("-ERR [AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833\r\n")}),
			clear, 77, "sign-in", "answer/185833", "myaccount.google.com/apppasswords"},
		{"Microsoft takes no passwords", imap(imapd.Script{"AUTHENTICATE": imapd.Say("$ NO Basic authentication is disabled.\r\n")}), clear, 77, "sign-in", "Basic authentication is disabled.", "use oauth2"},
		{"a browser is wanted", imap(imapd.Script{"AUTHENTICATE": imapd.Say("$ NO LOGIN failed. Account is blocked. Login to your account via a web browser to verify your identity.\r\n")}),
			clear, 77, "sign-in", "Account is blocked", "web browser first"},
		{"account locked", pop3(pop3d.Script{"PASS": pop3d.Say("-ERR Your account is temporarily locked\r\n")}), clear, 77, "sign-in", "temporarily locked", "stop whatever signs in with an old password"},
		{"no mechanism in common", imap(imapd.Script{"CAPABILITY": imapd.Say("* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=GSSAPI\r\n$ OK\r\n")}), clear, 77, "sign-in", "it offers GSSAPI", "leave insecure out"},
		{"maildrop in use", pop3(pop3d.Script{"PASS": pop3d.Say("-ERR [IN-USE] locked by another session\r\n")}), clear, 75, "sign-in", "locked by another session", "another client has this mailbox open"},
		{"folder missing", dovecot.URL("imaps"), "folders: [Invoces]", 75, "folder Invoces", "no such folder", `did you mean "Invoices"`},
		{"no unique-ids", pop3(pop3d.Script{"UIDL": pop3d.Say("-ERR unknown command\r\n")}), clear, 76, "folder INBOX", "unknown command", "use IMAP"},
		{"cut while signing in", pop3(pop3d.Script{"PASS": pop3d.Cut("")}), clear, 69, "sign-in", "closed the connection", "tried again"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			w := &world{t: t, binary: binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			keys := map[string]string{"server": c.server, "username": ada, "password": password, "deliver": "[out]", "tls": "{ca_file: " + ca.file + "}"}
			if strings.HasSuffix(c.server, dovecot.URL("imaps")) || strings.HasSuffix(c.server, dovecot.URL("pop3s")) {
				keys["tls"] = "{ca_file: " + dovecot.CAFile + "}"
			}
			var args []string
			switch c.more {
			case "":
			case "plain":
				keys["server"] = strings.Replace(c.server, "s://", "://", 1)
				args = []string{"--timeout", "500ms"}
			case "secure":
				keys["server"] = strings.Replace(c.server, "://", "s://", 1)
			default:
				key, value, _ := strings.Cut(c.more, ": ")
				keys[key] = value
			}
			body := "mailboxes:\n  box:\n"
			for key, value := range keys {
				body += fmt.Sprintf("    %s: %s\n", key, value)
			}
			w.write(body + "sinks:\n  out: {type: file, path: \"-\"}\n")

			code, got, out := w.check(append(args, "box")...)
			if code != c.code || got.ExitCode != c.code || got.OK {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, out)
			}
			steps := got.Targets[len(got.Targets)-1].Steps
			i := slices.IndexFunc(steps, func(s checkedStep) bool { return s.Status == "failed" })
			if i < 0 {
				t.Fatalf("no step failed:\n%s", out)
			}
			if s := steps[i]; s.Step != c.step || !strings.Contains(s.Said, c.says) || !strings.Contains(s.Fix, c.fix) {
				t.Errorf("step %q failed with %q, fix %q; want %q, %q, %q", s.Step, s.Said, s.Fix, c.step, c.says, c.fix)
			}
			for _, s := range steps[i+1:] {
				if s.Status != "skipped" && s.Step != "sign-out" {
					t.Errorf("step %s is %s after one that failed", s.Step, s.Status)
				}
			}
			if strings.Contains(out, password) {
				t.Error("the password is in the output")
			}
		})
	}
}

func TestCheckExitsWithTheFirstCodeInOrder(t *testing.T) {
	inUse := pop3d.Start(t, pop3d.Script{"PASS": pop3d.Say("-ERR [IN-USE] locked\r\n")})
	refused := pop3d.Start(t, pop3d.Script{"PASS": pop3d.Say("-ERR [AUTH] no\r\n")})
	garbled := pop3d.Start(t, pop3d.Script{"": pop3d.Say("hello\r\n")})
	dead := "127.0.0.1:1"
	box := func(name, address string) string {
		return fmt.Sprintf("  %s: {server: \"pop3://%s\", insecure: true, username: a, password: b, deliver: [out]}\n", name, address)
	}
	w := &world{t: t, binary: mailtest.BuildBinary(t), dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "postferry.yaml")
	w.write("mailboxes:\n" + box("later", net.JoinHostPort(inUse.Host, inUse.Port)) + box("refused", net.JoinHostPort(refused.Host, refused.Port)) +
		box("garbled", net.JoinHostPort(garbled.Host, garbled.Port)) + box("dead", dead) + "sinks:\n  out: {type: file, path: \"-\"}\n")
	for _, c := range []struct {
		names []string
		code  int
	}{
		{nil, 77},
		{[]string{"later", "dead", "garbled"}, 69},
		{[]string{"later", "garbled"}, 76},
		{[]string{"later"}, 75},
		{[]string{"out"}, 0},
	} {
		if code, _, out := w.check(c.names...); code != c.code {
			t.Errorf("check %v: exit code %d, want %d:\n%s", c.names, code, c.code, out)
		}
	}
}

func TestCheckWarnsOfACertificateThatEndsSoon(t *testing.T) {
	ca := newAuthority(t)
	address := greets(t, ca.server(false, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(13*24*time.Hour + time.Hour) }), "* BYE no\r\n")
	w := &world{t: t, binary: mailtest.BuildBinary(t), dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "postferry.yaml")
	w.write("mailboxes:\n  box: {server: \"imaps://" + address + "\", username: a, password: b, tls: {ca_file: " + ca.file + "}, deliver: [out]}\nsinks:\n  out: {type: file, path: \"-\"}\n")
	_, got, out := w.check("box")
	if steps := got.steps("mailbox"); !slices.Contains(steps, "TLS warning") || !strings.Contains(out, "13 days left") || !strings.Contains(out, "renewed before") {
		t.Errorf("steps %q:\n%s", steps, out)
	}
}
