package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/mailtest/tap"
	"github.com/postferry/postferry/internal/secret"
)

// certificate is one for 127.0.0.1, and the file that makes it trusted.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	ca, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(ca.CertPEM, ca.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, file
}

// lovelace is a username that does not occur by chance.
const lovelace = "lovelace-canary"

// secrets are the forms in which credentials would show on the wire.
func secrets() []string {
	plain := "\x00" + lovelace + "\x00" + canary
	return []string{
		canary, lovelace, "LOGIN ", "AUTHENTICATE", base64.StdEncoding.EncodeToString([]byte(lovelace)),
		base64.StdEncoding.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(plain)),
	}
}

func TestNoSecretGoesInClearText(t *testing.T) {
	config, ca := certificate(t)
	expired, _ := certificate(t) // of an authority that is not trusted
	for _, test := range []struct {
		fact   string
		tls    *tls.Config
		script imapd.Script
		says   string // of the error; "" if there is none
		cause  fetcher.Cause
	}{
		{"all is well", config, nil, "", 0},
		{"STARTTLS refused by NO", nil, imapd.Script{"STARTTLS": imapd.Say("$ NO no\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"STARTTLS refused by BAD", nil, nil, "refuses STARTTLS", fetcher.Untrusted},
		{"STARTTLS answered by BYE", nil, imapd.Script{"STARTTLS": imapd.Cut("* BYE no\r\n")}, "EOF", fetcher.Unreachable},
		{"capability stripped", nil, imapd.Script{"": imapd.Say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"PREAUTH", config, imapd.Script{"": imapd.Say("* PREAUTH welcome\r\n")}, "before TLS", fetcher.Untrusted},
		{"preauth in lower case", config, imapd.Script{"": imapd.Say("* preauth welcome\r\n")}, "before TLS", fetcher.Untrusted},
		{"BYE", config, imapd.Script{"": imapd.Cut("* BYE no\r\n")}, "BYE no", fetcher.Temporary},
		{"octets after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n* CAPABILITY IMAP4rev1\r\n")}, "in clear text", fetcher.Untrusted},
		{"a tagged line after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\nT1 OK\r\n")}, "in clear text", fetcher.Untrusted},
		{"OK and no TLS", config, imapd.Script{"STARTTLS": imapd.Cut("$ OK\r\n")}, "TLS with", fetcher.Untrusted},
		{"untagged without an end", config, imapd.Script{"STARTTLS": imapd.Endless("", "* OK wait\r\n")}, "no answer to STARTTLS", fetcher.Protocol},
		{"a line without an end", config, imapd.Script{"STARTTLS": imapd.Endless("* OK", "x")}, "more than 4096 octets", fetcher.Protocol},
		{"a foreign tag", config, imapd.Script{"STARTTLS": imapd.Cut("S2 OK\r\n")}, "EOF", fetcher.Unreachable},
		{"another protocol", config, imapd.Script{"": imapd.Say("+OK ready\r\n")}, "no IMAP greeting", fetcher.Protocol},
		{"an authority that is not trusted", expired, nil, "TLS with", fetcher.Untrusted},
		{"a lone LF after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n\n")}, "in clear text", fetcher.Untrusted},
		{"a greeting after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n* OK ready\r\n")}, "in clear text", fetcher.Untrusted},
		{"PREAUTH after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n* PREAUTH ready\r\n")}, "in clear text", fetcher.Untrusted},
		{"a continuation request after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n+ go on\r\n")}, "in clear text", fetcher.Untrusted},
		{"an alert after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n* OK [ALERT] call 555\r\n")}, "in clear text", fetcher.Untrusted},
		{"BYE after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n* BYE\r\n")}, "in clear text", fetcher.Untrusted},
		{"a literal after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n* LIST () \"/\" {5}\r\nINBOX\r\n")}, "in clear text", fetcher.Untrusted},
		{"a zero octet after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n\x00")}, "in clear text", fetcher.Untrusted},
		{"a mail after the OK", config, imapd.Script{"STARTTLS": imapd.Say("$ OK\r\n* 1 EXISTS\r\n* 1 FETCH (UID 1 BODY[] {3}\r\nbad)\r\n")}, "in clear text", fetcher.Untrusted},
		{"octets without an end after the OK", config, imapd.Script{"STARTTLS": imapd.Endless("$ OK\r\nx", "x")}, "in clear text", fetcher.Untrusted},
		{"the OK of a command not sent yet", config, imapd.Script{"STARTTLS": imapd.Cut("T1 OK signed in\r\n")}, "EOF", fetcher.Unreachable},
		{"an untagged OK in place of the answer", config, imapd.Script{"STARTTLS": imapd.Cut("* OK begin\r\n")}, "EOF", fetcher.Unreachable},
		{"a continuation request in place of the answer", config, imapd.Script{"STARTTLS": imapd.Cut("+ begin\r\n")}, "EOF", fetcher.Unreachable},
		{"a referral", nil, imapd.Script{"STARTTLS": imapd.Say("$ NO [REFERRAL imap://evil.example.com/] go there\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"an answer that is no status", nil, imapd.Script{"STARTTLS": imapd.Say("$ PLEASE\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"an answer with nothing in it", nil, imapd.Script{"STARTTLS": imapd.Say("$ \r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"an OK that runs into a word", nil, imapd.Script{"STARTTLS": imapd.Say("$ OKAY\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"a greeting cut", config, imapd.Script{"": imapd.Cut("* OK rea")}, "EOF", fetcher.Unreachable},
		{"no greeting", config, imapd.Script{"": imapd.Cut("")}, "EOF", fetcher.Unreachable},
		{"a greeting without an end", config, imapd.Script{"": imapd.Endless("* OK ", "x")}, "more than 4096 octets", fetcher.Protocol},
		{"a greeting that is tagged", config, imapd.Script{"": imapd.Say("S1 OK ready\r\n")}, "no IMAP greeting", fetcher.Protocol},
		{"a greeting that is empty", config, imapd.Script{"": imapd.Say("\r\n")}, "no IMAP greeting", fetcher.Protocol},
		{"TLS ends in the handshake", config, imapd.Script{"STARTTLS": imapd.Cut("$ OK\r\n")}, "TLS with", fetcher.Untrusted},
		{"PLAIN is offered before TLS alone", config, imapd.Script{"": imapd.Say("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] ready\r\n"), "CAPABILITY": imapd.Say("* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n$ OK\r\n")}, "no way to sign in", fetcher.Refused},
		{"PLAIN is offered before TLS alone, in an answer nobody asked for", config, imapd.Script{"STARTTLS": imapd.Before("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"), "CAPABILITY": imapd.Say("* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n$ OK\r\n")}, "no way to sign in", fetcher.Refused},
		{"PREAUTH under TLS after STARTTLS", config, imapd.Script{"CAPABILITY": imapd.Before("* PREAUTH welcome\r\n")}, "", 0},
		{"STARTTLS offered again under TLS", config, imapd.Script{"CAPABILITY": imapd.Say("* CAPABILITY " + imapd.AllCaps + " STARTTLS\r\n$ OK\r\n")}, "", 0},
		{"an alert before TLS", config, imapd.Script{"STARTTLS": imapd.Before("* OK [ALERT] call 555\r\n")}, "", 0},
		{"an alert and a referral in the greeting", config, imapd.Script{"": imapd.Say("* OK [ALERT] [REFERRAL imap://evil.example.com/] go there\r\n")}, "", 0},
		{"mail before TLS", config, imapd.Script{"STARTTLS": imapd.Before("* 9 EXISTS\r\n* 1 FETCH (UID 1 RFC822.SIZE 3)\r\n* SEARCH 1 2 3\r\n")}, "", 0},
		{"BYE before the OK", config, imapd.Script{"STARTTLS": imapd.Cut("* BYE\r\n$ OK\r\n")}, "TLS with", fetcher.Untrusted},
		{"NO and OK", nil, imapd.Script{"STARTTLS": imapd.Say("$ NO no\r\n$ OK begin\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"an answer in lower case", config, imapd.Script{"STARTTLS": imapd.Say("$ no not now\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"the OK is cut", config, imapd.Script{"STARTTLS": imapd.Cut("$ O")}, "EOF", fetcher.Unreachable},
		{"an invitation to sign in first", nil, imapd.Script{"STARTTLS": imapd.Say("$ NO [AUTHORIZATIONFAILED] sign in first\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"an answer that says TLS is on already", nil, imapd.Script{"STARTTLS": imapd.Say("$ BAD TLS is active already\r\n")}, "refuses STARTTLS", fetcher.Untrusted},
		{"capabilities before TLS are forgotten", config, imapd.Script{"": imapd.Say("* OK [CAPABILITY IMAP4rev1 AUTH=XFOO LOGINDISABLED] ready\r\n")}, "", 0},
	} {
		t.Run(test.fact, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{TLS: test.tls, Script: test.script}, two...)
			w := tap.Start(t, net.JoinHostPort(s.Host, s.Port))
			whole, err := visit(t.Context(), client(t, s, dial.StartTLS, func(o *Options) {
				o.Server.Port, o.TLS.CAFile, o.Username = w.Port, ca, lovelace
			}))
			if test.says == "" {
				if err != nil || len(whole) != 2 {
					t.Errorf("%d mails, error %v", len(whole), err)
				}
				if !slices.ContainsFunc(s.Commands(), func(c string) bool { return strings.HasPrefix(c, "AUTHENTICATE PLAIN") }) {
					t.Error("nobody signed in under TLS")
				}
			} else {
				if err == nil {
					t.Fatal("no error")
				}
				radius := fetcher.SessionRadius
				if test.cause == fetcher.Refused {
					radius = fetcher.AccountRadius
				}
				wantError(t, err, radius, test.cause, test.says)
			}
			seen := w.Octets()
			for _, secret := range secrets() {
				if bytes.Contains(seen, []byte(secret)) {
					t.Errorf("%q went in clear text", secret)
				}
			}
			if dial.NewHider(secret.New(canary), secret.New(lovelace)).Holds(string(seen)) {
				t.Errorf("a secret went in clear text in some form: %q", seen)
			}
			if n := bytes.Count(seen, []byte("STARTTLS\r\n")); n != 1 && test.says == "" {
				t.Errorf("STARTTLS was seen %d times", n)
			}
			if n := strings.Count(strings.Join(s.Commands(), "\n"), "STARTTLS"); n > 1 {
				t.Errorf("STARTTLS was sent %d times", n)
			}
		})
	}
}

func TestTheSearchForSecretsFindsThemInPlainText(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, two...)
	w := tap.Start(t, net.JoinHostPort(s.Host, s.Port))
	if _, err := visit(t.Context(), client(t, s, dial.Plain, func(o *Options) { o.Server.Port, o.Username = w.Port, lovelace })); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, secret := range secrets() {
		if bytes.Contains(w.Octets(), []byte(secret)) {
			found++
		}
	}
	if found == 0 {
		t.Error("nothing was found where it is")
	}
}

func TestAPreauthenticatedSessionIsUsed(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Script: imapd.Script{"": imapd.Say("* PREAUTH welcome\r\n")}}, two...)
	if whole, err := visit(t.Context(), client(t, s, dial.Plain, nil)); err != nil || len(whole) != 2 {
		t.Errorf("%d mails, error %v", len(whole), err)
	}
	for _, c := range s.Commands() {
		if strings.HasPrefix(c, "AUTHENTICATE") || strings.HasPrefix(c, "LOGIN") {
			t.Errorf("%s was sent", c)
		}
	}
}

func TestTheWayOfSigningIn(t *testing.T) {
	for _, test := range []struct {
		fact, caps, command string
		says                string
	}{
		{"SASL with its initial response", "IMAP4rev1 AUTH=PLAIN SASL-IR", "AUTHENTICATE PLAIN AGFkYQBodW50ZXIyLWNhbmFyeQ==", ""},
		{"SASL without", "IMAP4rev1 AUTH=PLAIN", "AUTHENTICATE PLAIN", ""},
		{"LOGIN where there is no SASL", "IMAP4rev1", `LOGIN "ada" "` + canary + `"`, ""},
		{"LOGIN beside mechanisms that are unknown", "IMAP4rev1 AUTH=GSSAPI", `LOGIN "ada" "` + canary + `"`, ""},
		{"LOGINDISABLED is respected", "IMAP4rev1 LOGINDISABLED", "", "it offers none"},
		{"LOGINDISABLED beside unknown mechanisms", "IMAP4rev1 LOGINDISABLED AUTH=XFOO", "", "it offers XFOO"},
	} {
		t.Run(test.fact, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{Caps: test.caps}, two...)
			x, err := client(t, s, dial.Plain, nil).Open(context.Background())
			if test.says != "" {
				if err == nil {
					t.Fatal("no error")
				}
				wantError(t, err, fetcher.AccountRadius, fetcher.Refused, test.says)
			} else if err != nil {
				t.Fatal(err)
			} else {
				x.Close()
			}
			var sent []string
			for _, c := range s.Commands() {
				if strings.HasPrefix(c, "AUTHENTICATE") || strings.HasPrefix(c, "LOGIN") {
					sent = append(sent, c)
				}
			}
			if got := strings.Join(sent, "; "); got != test.command {
				t.Errorf("sent %q, want %q", got, test.command)
			}
		})
	}
}
