package pop3

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/internal/secret"
)

// initial is a mechanism of one response, which comes with the command or after an
// empty challenge.
func initial(want string) pop3d.Mechanism {
	return func(_ int, response []byte) ([]byte, pop3d.Verdict) {
		switch {
		case response == nil:
			return nil, pop3d.More
		case string(response) == want:
			return nil, pop3d.Accept
		}
		return nil, pop3d.Refuse
	}
}

// The digests are those of RFC 1939 section 7 and RFC 2195 section 2.
const (
	apopGreeting  = "POP3 server ready <1896.697170952@dbc.mtview.ca.us>"
	apopPassword  = "tanstaaf"
	apopDigest    = "c4c9334bac560ecc979e58001b3e22fb"
	cramChallenge = "<1896.697170952@postoffice.reston.mci.net>"
	cramPassword  = "tanstaaftanstaaf"
	cramResponse  = "tim b913a602c7eda7a495b4e6e7334d3890"
)

func cram(step int, response []byte) ([]byte, pop3d.Verdict) {
	switch {
	case response == nil:
		return []byte(cramChallenge), pop3d.More
	case string(response) == cramResponse:
		return nil, pop3d.Accept
	}
	return nil, pop3d.Refuse
}

func login(step int, response []byte) ([]byte, pop3d.Verdict) {
	switch {
	case response == nil:
		return []byte("Username:"), pop3d.More
	case step == 1 && string(response) == "tim":
		return []byte("Password:"), pop3d.More
	case step == 2 && string(response) == cramPassword:
		return nil, pop3d.Accept
	}
	return nil, pop3d.Refuse
}

func TestSignIn(t *testing.T) {
	plain := "\x00tim\x00" + cramPassword
	long := strings.Repeat("x", 300)
	all := map[string]pop3d.Mechanism{"PLAIN": initial(plain), "LOGIN": login, "CRAM-MD5": cram}
	only := func(names ...string) map[string]pop3d.Mechanism {
		some := map[string]pop3d.Mechanism{}
		for _, n := range names {
			some[n] = all[n]
		}
		return some
	}
	for _, c := range []struct {
		fact      string
		server    pop3d.Options
		encrypted bool
		edit      func(*Options)
		want      string // beginnings of the commands after CAPA, up to STAT
	}{
		{"PLAIN under TLS, in one step", pop3d.Options{SASL: all}, true, nil, "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte(plain))},
		{"CRAM-MD5 in clear text", pop3d.Options{SASL: all}, false, nil, "AUTH CRAM-MD5|" + base64.StdEncoding.EncodeToString([]byte(cramResponse))},
		{"LOGIN", pop3d.Options{SASL: only("LOGIN")}, true, nil, "AUTH LOGIN|dGlt|"},
		{"APOP in clear text before PLAIN", pop3d.Options{SASL: only("PLAIN"), Greeting: apopGreeting, Password: apopPassword}, false,
			func(o *Options) { o.Password = secret.New(apopPassword) }, "APOP tim " + apopDigest},
		{"APOP is not used under TLS where there is PLAIN", pop3d.Options{SASL: only("PLAIN"), Greeting: apopGreeting}, true, nil, "AUTH PLAIN "},
		{"APOP under TLS where there is nothing else", pop3d.Options{Capa: []string{"UIDL"}, Greeting: apopGreeting, Password: apopPassword}, true,
			func(o *Options) { o.Password = secret.New(apopPassword) }, "APOP tim " + apopDigest},
		{"APOP where it is wanted", pop3d.Options{SASL: all, Greeting: apopGreeting, Password: apopPassword}, true,
			func(o *Options) { o.Password, o.Auth = secret.New(apopPassword), "apop" }, "APOP tim " + apopDigest},
		{"no APOP for what is no timestamp", pop3d.Options{Greeting: "ready <a\x01b@c>"}, false, nil, "USER tim|PASS "},
		{"USER and PASS where there is no SASL", pop3d.Options{}, true, nil, "USER tim|PASS "},
		{"USER and PASS where there is no CAPA", pop3d.Options{Capa: []string{}, SASL: all}, true, nil, "USER tim|PASS "},
		{"USER and PASS where they are wanted", pop3d.Options{SASL: all}, true, func(o *Options) { o.Auth = "user" }, "USER tim|PASS "},
		{"the wanted mechanism", pop3d.Options{SASL: all}, true, func(o *Options) { o.Auth = "cram-md5" }, "AUTH CRAM-MD5|"},
		{"the wanted mechanism without CAPA", pop3d.Options{Capa: []string{}, SASL: all}, true, func(o *Options) { o.Auth = "login" }, "AUTH LOGIN|dGlt|"},
		{"a long initial response waits (RFC 5034 section 4)", pop3d.Options{SASL: map[string]pop3d.Mechanism{"PLAIN": initial("\x00tim\x00" + long)}}, true,
			func(o *Options) { o.Password = secret.New(long) }, "AUTH PLAIN|" + base64.StdEncoding.EncodeToString([]byte("\x00tim\x00"+long))},
		{"EXTERNAL with a certificate", pop3d.Options{SASL: map[string]pop3d.Mechanism{"PLAIN": initial(plain), "EXTERNAL": initial("tim")}}, true,
			func(o *Options) { o.Password = secret.Secret{} }, "AUTH EXTERNAL dGlt"},
		{"EXTERNAL for whom the certificate names (RFC 5034 section 4: =)", pop3d.Options{SASL: map[string]pop3d.Mechanism{"EXTERNAL": initial("")}}, true,
			func(o *Options) { o.Password, o.Username = secret.Secret{}, "" }, "AUTH EXTERNAL ="},
	} {
		t.Run(c.fact, func(t *testing.T) {
			ca, edit := authority(t)
			mode := dial.Plain
			if c.encrypted {
				mode, c.server.Implicit, c.server.TLS = dial.Implicit, true, ca.Server()
				c.server.TLS.ClientAuth = tls.RequireAnyClientCert
			}
			s := pop3d.StartWith(t, c.server, two...)
			x, err := client(t, s, mode, func(o *Options) {
				o.Username, o.Password = "tim", secret.New(cramPassword)
				if c.encrypted {
					edit(o)
				}
				if c.edit != nil {
					c.edit(o)
				}
			}).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			x.Close()
			got := strings.Join(s.Commands(), "|")
			if !strings.HasPrefix(got, "CAPA|"+c.want) {
				t.Errorf("commands %q, want %q after CAPA", got, c.want)
			}
		})
	}
}

// authority is one whose certificate the server has, and the client shows too.
func authority(t *testing.T) (*localca.CA, func(*Options)) {
	t.Helper()
	ca, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string][]byte{"ca": ca.PEM, "cert": ca.CertPEM, "key": ca.KeyPEM}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ca, func(o *Options) {
		o.TLS = dial.TLS{CAFile: filepath.Join(dir, "ca"), ClientCert: filepath.Join(dir, "cert"), ClientKey: filepath.Join(dir, "key")}
	}
}

func TestSignInsThatCannotBe(t *testing.T) {
	plain := map[string]pop3d.Mechanism{"PLAIN": initial("x")}
	for _, c := range []struct {
		fact   string
		server pop3d.Options
		edit   func(*Options)
		radius fetcher.Radius
		cause  fetcher.Cause
		says   string
	}{
		{"the wanted mechanism is not offered", pop3d.Options{SASL: plain}, func(o *Options) { o.Auth = "cram-md5" }, fetcher.AccountRadius, fetcher.Refused, "leave auth out"},
		{"no APOP without a timestamp", pop3d.Options{SASL: plain}, func(o *Options) { o.Auth = "apop" }, fetcher.AccountRadius, fetcher.Refused, "no timestamp"},
		{"the password is refused", pop3d.Options{SASL: plain}, nil, fetcher.AccountRadius, fetcher.Refused, "(PLAIN): -ERR [AUTH] no"},
		{"the exchange has no end", pop3d.Options{SASL: map[string]pop3d.Mechanism{"PLAIN": func(int, []byte) ([]byte, pop3d.Verdict) { return nil, pop3d.More }}},
			nil, fetcher.SessionRadius, fetcher.Protocol, "did not run as it must"},
		{"a challenge is no base64", pop3d.Options{SASL: plain, Script: pop3d.Script{"AUTH": pop3d.Say("+ ?\r\n")}}, nil, fetcher.SessionRadius, fetcher.Protocol, "no base64"},
		{"the exchange is cut", pop3d.Options{SASL: plain, Script: pop3d.Script{"AUTH": pop3d.Cut("+ ")}}, nil, fetcher.SessionRadius, fetcher.Unreachable, "closed"},
		{"a refusal that repeats the password in base64", pop3d.Options{SASL: plain, Script: pop3d.Script{"AUTH": pop3d.Say("-ERR bad " + base64.StdEncoding.EncodeToString([]byte("\x00ada\x00"+canary)) + "\r\n")}},
			nil, fetcher.AccountRadius, fetcher.Refused, "-ERR"},
		{"maildrop in use", pop3d.Options{SASL: plain, Script: pop3d.Script{"AUTH": pop3d.Say("-ERR [IN-USE] locked\r\n")}}, nil, fetcher.SessionRadius, fetcher.Temporary, "another client"},
		{"the sign-in lapses in mid-session", pop3d.Options{Script: pop3d.Script{"UIDL": pop3d.Say("-ERR [AUTH] token expired\r\n")}}, nil, fetcher.SessionRadius, fetcher.Temporary, "signed in to again"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := pop3d.StartWith(t, c.server, two...)
			_, err := visit(t.Context(), client(t, s, dial.Plain, c.edit))
			if err == nil {
				t.Fatal("no error")
			}
			if fetcher.RadiusOf(err) != c.radius || fetcher.CauseOf(err) != c.cause || !strings.Contains(err.Error(), c.says) {
				t.Errorf("radius %d, cause %d, %q; want %d, %d, %q", fetcher.RadiusOf(err), fetcher.CauseOf(err), err, c.radius, c.cause, c.says)
			}
			if dial.NewHider(secret.New(canary)).Holds(err.Error()) {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

// RFC 2449 section 6.5 and 6.7: USER says that the answer depends on the user.
func TestCapabilitiesAreAskedAgainWhereTheUserMatters(t *testing.T) {
	for _, c := range []struct {
		fact string
		capa []string
		want int
	}{
		{"they do not depend on the user", []string{"UIDL", "PIPELINING", "EXPIRE 60"}, 1},
		{"expiry depends on the user", []string{"UIDL", "PIPELINING", "EXPIRE 0 USER"}, 2},
		{"pipelining is not named before", []string{"UIDL"}, 2},
		{"no CAPA", []string{}, 1},
	} {
		s := pop3d.StartWith(t, pop3d.Options{Capa: c.capa}, two...)
		if _, err := visit(t.Context(), client(t, s, dial.Plain, nil)); err != nil {
			t.Errorf("%s: %v", c.fact, err)
		}
		if n := strings.Count(strings.Join(s.Commands(), "|"), "CAPA"); n != c.want {
			t.Errorf("%s: CAPA %d times, want %d", c.fact, n, c.want)
		}
	}
}

// always is a source of one token.
type always string

func (a always) Token(context.Context) (secret.Secret, error) { return secret.New(string(a)), nil }

func (a always) Renew(context.Context, secret.Secret) (secret.Secret, error) {
	return secret.Secret{}, errors.New("there is no other")
}

// RFC 2449 section 6.5 and 8.1.1: the server may announce the seconds from one sign-in
// to the next, for all or once it is known who asks, and may refuse what comes too soon.
func TestTheTimeBetweenSignInsIsToldAsTheServerHasIt(t *testing.T) {
	refusal := pop3d.Script{"PASS": pop3d.Say("-ERR [LOGIN-DELAY] wait\r\n")}
	for _, c := range []struct {
		fact    string
		capa    []string
		script  pop3d.Script
		want    time.Duration
		tooSoon bool
	}{
		{"none is announced", []string{"UIDL", "PIPELINING"}, nil, 0, false},
		{"fifteen minutes", []string{"UIDL", "PIPELINING", "LOGIN-DELAY 900"}, nil, 15 * time.Minute, false},
		{"fifteen minutes that depend on the user", []string{"UIDL", "PIPELINING", "login-delay 900 USER"}, nil, 15 * time.Minute, false},
		{"no number", []string{"UIDL", "PIPELINING", "LOGIN-DELAY soon"}, nil, 0, false},
		{"a negative number", []string{"UIDL", "PIPELINING", "LOGIN-DELAY -5"}, nil, 0, false},
		{"more than a number holds", []string{"UIDL", "PIPELINING", "LOGIN-DELAY 99999999999999999999"}, nil, 0, false},
		{"ten thousand years", []string{"UIDL", "PIPELINING", "LOGIN-DELAY 315360000000"}, nil, maxDelay, false},
		{"nothing after it", []string{"UIDL", "PIPELINING", "LOGIN-DELAY"}, nil, 0, false},
		{"refused and not announced", []string{"UIDL"}, refusal, 0, true},
		{"refused and announced", []string{"UIDL", "LOGIN-DELAY 60"}, refusal, time.Minute, true},
		{"refused by the greeting", []string{"UIDL"}, pop3d.Script{"": pop3d.Cut("-ERR [LOGIN-DELAY] wait\r\n")}, 0, true},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := pop3d.StartWith(t, pop3d.Options{Capa: c.capa, Script: c.script}, two...)
			x, err := client(t, s, dial.Plain, nil).Open(t.Context())
			soon, tooSoon := errors.AsType[*fetcher.TooSoonError](err)
			switch {
			case tooSoon != c.tooSoon:
				t.Fatalf("error %v", err)
			case tooSoon && (soon.Pause != c.want || fetcher.RadiusOf(err) != fetcher.SessionRadius || fetcher.CauseOf(err) != fetcher.Temporary || !strings.Contains(err.Error(), "-ERR [LOGIN-DELAY] wait")):
				t.Errorf("pause %v of %v, want %v", soon.Pause, err, c.want)
			case !tooSoon:
				if got := x.(fetcher.Pacer).Pause(); got != c.want {
					t.Errorf("pause %v, want %v", got, c.want)
				}
				x.Close()
			}
		})
	}
}
