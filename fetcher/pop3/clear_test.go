package pop3

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/internal/mailtest/tap"
	"github.com/postferry/postferry/internal/secret"
)

// lovelace is a username that does not occur by chance.
const lovelace = "lovelace-canary"

// TestNothingSecretInClearText has a server, or somebody on the way to it, try to
// keep the client in clear text. Whatever it says, no more than STLS is sent there.
func TestNothingSecretInClearText(t *testing.T) {
	self, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	old := self.Server()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, c := range []struct {
		fact   string
		script pop3d.Script
		tls    *tls.Config
		cause  fetcher.Cause
		says   string
	}{
		{"STLS is refused", pop3d.Script{"STLS": pop3d.Say("-ERR no\r\n")}, nil, fetcher.Untrusted, "refuses STLS"},
		{"STLS is not known", nil, nil, fetcher.Untrusted, "refuses STLS"},
		{"STLS is refused for now", pop3d.Script{"STLS": pop3d.Say("-ERR [SYS/TEMP] later\r\n")}, nil, fetcher.Untrusted, "refuses STLS"},
		{"the refusal invites to go on", pop3d.Script{"STLS": pop3d.Say("-ERR TLS not available, use USER\r\n")}, nil, fetcher.Untrusted, "refuses STLS"},
		{"a reply is injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n+OK signed in already\r\n")}, nil, fetcher.Untrusted, "in clear text"},
		{"capabilities are injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n+OK\r\nSASL PLAIN\r\n.\r\n")}, nil, fetcher.Untrusted, "in clear text"},
		{"one octet is injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n\x16")}, nil, fetcher.Untrusted, "in clear text"},
		{"the reply to STLS comes before it is asked for", pop3d.Script{"": pop3d.Say("+OK ready\r\n+OK begin\r\n")}, nil, fetcher.Protocol, "before it was asked"},
		{"a challenge in place of a reply", pop3d.Script{"STLS": pop3d.Say("+ \r\n")}, nil, fetcher.Protocol, "neither"},
		{"the reply to STLS has no CR", pop3d.Script{"STLS": pop3d.Say("+OK\n")}, nil, fetcher.Protocol, "CRLF"},
		{"the reply to STLS is in lower case", pop3d.Script{"STLS": pop3d.Say("+ok\r\n")}, nil, fetcher.Protocol, "neither"},
		{"STLS is agreed to and clear text follows", pop3d.Script{"STLS": pop3d.Drips("+OK\r\n", time.Millisecond)}, nil, fetcher.Untrusted, "TLS"},
		{"the connection ends after STLS", pop3d.Script{"STLS": pop3d.Cut("+OK\r\n")}, nil, fetcher.Untrusted, "TLS"},
		{"the connection ends in place of a reply", pop3d.Script{"STLS": pop3d.Cut("")}, nil, fetcher.Unreachable, "closed"},
		{"the greeting says that TLS is not needed", pop3d.Script{"": pop3d.Say("+OK secured already\r\n")}, nil, fetcher.Untrusted, "refuses STLS"},
		{"the greeting refuses", pop3d.Script{"": pop3d.Say("-ERR [AUTH] sign in first\r\n")}, nil, fetcher.Temporary, "sign in first"},
		{"sign-in is demanded before STLS", pop3d.Script{"STLS": pop3d.Say("-ERR [AUTH] sign in first\r\n")}, nil, fetcher.Untrusted, "refuses STLS"},
		{"STLS is refused and then agreed to", pop3d.Script{"STLS": pop3d.Say("-ERR no\r\n+OK begin\r\n")}, nil, fetcher.Untrusted, "refuses STLS"},
		{"a refusal is injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n-ERR [AUTH] no\r\n")}, nil, fetcher.Untrusted, "in clear text"},
		{"a challenge is injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n+ \r\n")}, nil, fetcher.Untrusted, "in clear text"},
		{"a mail is injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n+OK\r\nSubject: x\r\n\r\n.\r\n")}, nil, fetcher.Untrusted, "in clear text"},
		{"a lone LF is injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n\n")}, nil, fetcher.Untrusted, "in clear text"},
		{"a zero octet is injected after STLS", pop3d.Script{"STLS": pop3d.Say("+OK\r\n\x00")}, nil, fetcher.Untrusted, "in clear text"},
		{"octets without an end are injected after STLS", pop3d.Script{"STLS": pop3d.Endless("+OK\r\nx", "x")}, nil, fetcher.Untrusted, "in clear text"},
		{"the reply to STLS runs into a word", pop3d.Script{"STLS": pop3d.Say("+OKAY\r\n")}, nil, fetcher.Protocol, "neither"},
		{"the reply to STLS is empty", pop3d.Script{"STLS": pop3d.Say("\r\n")}, nil, fetcher.Protocol, "neither"},
		{"the reply to STLS is of IMAP", pop3d.Script{"STLS": pop3d.Say("S1 OK begin\r\n")}, nil, fetcher.Protocol, "neither"},
		{"the reply to STLS has no end", pop3d.Script{"STLS": pop3d.Endless("+OK ", "x")}, nil, fetcher.Protocol, "more than"},
		{"the reply to STLS is cut", pop3d.Script{"STLS": pop3d.Cut("+O")}, nil, fetcher.Unreachable, "closed"},
		{"the greeting is cut", pop3d.Script{"": pop3d.Cut("+OK rea")}, nil, fetcher.Unreachable, "closed"},
		{"there is no greeting", pop3d.Script{"": pop3d.Cut("")}, nil, fetcher.Unreachable, "closed"},
		{"the greeting has no end", pop3d.Script{"": pop3d.Endless("+OK ", "x")}, nil, fetcher.Protocol, "more than"},
		{"the greeting is of IMAP, signed in already", pop3d.Script{"": pop3d.Say("* PREAUTH welcome\r\n")}, nil, fetcher.Protocol, "neither"},
		{"the greeting has no CR", pop3d.Script{"": pop3d.Say("+OK ready\n")}, nil, fetcher.Protocol, "CRLF"},
		{"a certificate of nobody's", nil, self.Server(), fetcher.Untrusted, "certificate"},
		{"TLS too old", nil, old, fetcher.Untrusted, "protocol version"},
	} {
		for _, way := range []struct {
			name string
			edit func(*Options)
		}{
			{"with a password", nil},
			{"with a password by CRAM-MD5", func(o *Options) { o.Auth = "cram-md5" }},
			{"with a password by APOP", func(o *Options) { o.Auth = "apop" }},
			{"with a token", func(o *Options) { o.Password, o.Tokens = secret.Secret{}, always(canary) }},
		} {
			t.Run(c.fact+"/"+way.name, func(t *testing.T) {
				s := pop3d.StartWith(t, pop3d.Options{
					Script: c.script, TLS: c.tls, Greeting: apopGreeting,
					SASL: map[string]pop3d.Mechanism{"PLAIN": initial("x"), "CRAM-MD5": cram, "XOAUTH2": initial("x")},
				}, two...)
				w := tap.Start(t, net.JoinHostPort(s.Host, s.Port))
				_, err := visit(t.Context(), client(t, s, dial.StartTLS, func(o *Options) {
					o.Server.Port, o.Username = w.Port, lovelace
					if way.edit != nil {
						way.edit(o)
					}
				}))
				// A connection that ends before TLS has begun may be reset as well as closed.
				reset := errors.Is(err, syscall.ECONNRESET) && fetcher.CauseOf(err) == fetcher.Unreachable
				if err == nil || fetcher.CauseOf(err) != c.cause && !reset || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v, cause %d; want %q, %d", err, fetcher.CauseOf(err), c.says, c.cause)
				}
				secrets := dial.NewHider(secret.New(canary), secret.New(lovelace))
				if seen := w.Octets(); len(seen) == 0 && c.says != "closed" || secrets.Holds(string(seen)) {
					t.Errorf("in clear text %q was seen", seen)
				}
				for _, line := range s.Commands() { // STLS, and the beginning of TLS
					word, _, _ := strings.Cut(line, " ")
					if slices.Contains([]string{"USER", "PASS", "APOP", "AUTH", "CAPA"}, word) {
						t.Errorf("in clear text %q was sent", line)
					}
				}
			})
		}
	}
}

// What a server says before TLS has no hold on the session under it (RFC 2595 section
// 4), and the credentials of a session that is well are not seen either.
func TestTheSessionUnderSTLSIsUnseen(t *testing.T) {
	ca, trust := authority(t)
	plain := "\x00" + lovelace + "\x00" + canary
	for _, c := range []struct {
		fact   string
		server pop3d.Options
		sent   string // first command under TLS that signs in
	}{
		{"with SASL", pop3d.Options{SASL: map[string]pop3d.Mechanism{"PLAIN": initial(plain)}}, "AUTH PLAIN"},
		{"with USER and PASS", pop3d.Options{}, "USER"},
		{"with APOP of the greeting", pop3d.Options{Capa: []string{"UIDL"}, Greeting: apopGreeting, Password: canary}, "APOP"},
		{"without CAPA", pop3d.Options{Capa: []string{}}, "USER"},
		{"with STLS offered again", pop3d.Options{Capa: []string{"UIDL", "USER", "STLS"}}, "USER"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			c.server.TLS = ca.Server()
			s := pop3d.StartWith(t, c.server, two...)
			w := tap.Start(t, net.JoinHostPort(s.Host, s.Port))
			whole, err := visit(t.Context(), client(t, s, dial.StartTLS, func(o *Options) {
				trust(o)
				o.Server.Port, o.Username = w.Port, lovelace
			}))
			if err != nil || len(whole) != len(two) {
				t.Fatalf("%d mails, error %v", len(whole), err)
			}
			if dial.NewHider(secret.New(canary), secret.New(lovelace)).Holds(string(w.Octets())) {
				t.Error("the credentials were seen in clear text")
			}
			commands := s.Commands()
			if got := strings.Join(commands, "|"); strings.Count(got, "STLS") != 1 || commands[0] != "STLS" || !strings.Contains(got, "|"+c.sent) {
				t.Errorf("commands %q, want STLS once and first, then %s", got, c.sent)
			}
		})
	}
}
