package smtp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/sinks/smtp"
	"github.com/postferry/postferry/sinks/smtp/compose"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "desk@example.com"
	password = "hunter2-canary"
)

// start starts a server with TLS that wants a sign-in.
func start(t testing.TB, o smtpd.Options) (s *smtpd.Server, ca string) {
	t.Helper()
	authority, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	o.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Pair}}
	o.SASL, o.Required = smtpd.Mechanisms(user, password), true
	return smtpd.Start(t, o), ca
}

// sink makes one for the server; edit may change its options.
func sink(t testing.TB, port, ca string, edit func(*smtp.Options)) *smtp.Sink {
	t.Helper()
	o := smtp.Options{
		Options: compose.Options{Action: compose.Forward, From: user, To: []string{"team@example.com"}, Guards: "all", RepeatAfter: compose.DefaultRepeatAfter},
		Server:  "smtp://127.0.0.1:" + port, Username: user, Password: secret.New(password), TLS: config.TLS{CAFile: ca, MinVersion: "1.2"},
	}
	if edit != nil {
		edit(&o)
	}
	s, err := smtp.New("desk", o, payload.Renderer{}, sinks.Env{Concurrency: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	for _, action := range []string{compose.Forward, compose.Redirect, compose.Notify} {
		t.Run(action, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				s, ca := start(t, smtpd.Options{})
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				_, closed, _ := net.SplitHostPort(l.Addr().String())
				l.Close()
				edit := func(o *smtp.Options) {
					o.Action = action
					if action == compose.Notify {
						o.Text = "New mail: {{ message.subject }}"
					}
				}
				return sinktest.Fixture{
					Sink:   sink(t, s.Port, ca, edit),
					Dead:   sink(t, closed, ca, edit),
					Denied: sink(t, s.Port, ca, func(o *smtp.Options) { edit(o); o.Password = secret.New(password + "-old") }),
					Stored: func(_ testing.TB, id string) (got [][]byte) {
						for _, m := range s.Mails() {
							if bytes.Contains(m.Data, []byte("<"+id)) {
								got = append(got, m.Data)
							}
						}
						return got
					},
					Refuse: func(testing.TB) { s.Script("MAIL", smtpd.Say("451 4.3.0 not now\r\n")) },
					Accept: func(testing.TB) { s.Obey("MAIL"); s.Obey(".") },
					Hang: func(t testing.TB, entered func()) {
						s.Script("RCPT", smtpd.Silence(""))
						go func() {
							s.Wait(t, func() bool {
								return slices.ContainsFunc(s.Commands(), func(l string) bool { return strings.HasPrefix(l, "RCPT") })
							})
							entered()
						}()
					},
					Large: func(testing.TB) string {
						s.Script(".", smtpd.Say("552 5.3.4 too large\r\n"))
						return sinktest.Mail
					},
					CheckSignsIn: true,
					Secrets:      []string{password},
				}
			})
		})
	}
}

func TestMailThatSomeRecipientsHaveGoesToTheOthersAlone(t *testing.T) {
	s, ca := start(t, smtpd.Options{Script: smtpd.Script{
		"RCPT TO:<late@example.com>": smtpd.Say("450 4.2.1 try later\r\n").Once(),
		"RCPT TO:<gone@example.com>": smtpd.Say("550 5.1.1 no such user\r\n"),
	}})
	k := sink(t, s.Port, ca, func(o *smtp.Options) {
		o.To, o.CC, o.BCC = []string{"team@example.com", "late@example.com"}, []string{"gone@example.com"}, []string{"quiet@example.com"}
	})
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	_, err := k.Deliver(t.Context(), d)
	var a *sinks.AttemptError
	if !errors.As(err, &a) || sinks.IsPermanent(err) || sinks.IsSinkFault(err) || a.Detail != "450 4.2.1" ||
		a.Answer != "<late@example.com> 450 4.2.1 try later\n<gone@example.com> 550 5.1.1 no such user" {
		t.Fatalf("first: %v, %+v", err, a)
	}
	d.Attempt, d.Progress = 2, a.Progress
	_, err = k.Deliver(t.Context(), d)
	if !errors.As(err, &a) || !sinks.IsPermanent(err) || a.Detail != "550 5.1.1" || !strings.Contains(err.Error(), "3 other recipients have it") {
		t.Fatalf("second: %v, %+v", err, a)
	}
	s.Obey("RCPT TO:<gone@example.com>")
	d.Attempt, d.Progress = 3, a.Progress
	if _, err := k.Deliver(t.Context(), d); err != nil {
		t.Fatalf("third: %v", err)
	}
	var to [][]string
	for i, m := range s.Mails() {
		to = append(to, m.To)
		if !bytes.Equal(m.Data, s.Mails()[0].Data) {
			t.Errorf("mail %d has other octets than the first", i)
		}
	}
	if len(to) != 3 || !slices.Equal(to[0], []string{"team@example.com", "quiet@example.com"}) || !slices.Equal(to[1], []string{"late@example.com"}) || !slices.Equal(to[2], []string{"gone@example.com"}) {
		t.Errorf("the mails went to %q", to)
	}
}

func TestLostAnswerIsTriedAgainWithTheSameMessageID(t *testing.T) {
	s, ca := start(t, smtpd.Options{Script: smtpd.Script{".": smtpd.Cut("").After().Once()}})
	k := sink(t, s.Port, ca, nil)
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	if _, err := k.Deliver(t.Context(), d); err == nil || sinks.IsPermanent(err) || sinks.IsSinkFault(err) || sinks.IsMailFault(err) {
		t.Fatal(err)
	}
	d.Attempt = 2
	r, err := k.Deliver(t.Context(), d)
	if err != nil || r.Detail != "250 2.0.0 Ok: queued as 4F2A" {
		t.Fatalf("%+v, %v", r, err)
	}
	if m := s.Mails(); len(m) != 2 || !bytes.Equal(m[0].Data, m[1].Data) {
		t.Errorf("%+v", m)
	}
}

func TestAnswersAreGradedAsTheTableSays(t *testing.T) {
	for _, c := range []struct {
		step, reply     string
		permanent, held bool
		says            string
	}{
		{".", "554 5.7.1 spam", true, false, "taken for spam"},
		{".", "451 4.7.0 later", false, false, "451 4.7.0"},
		{"RCPT", "550 5.1.1 no such user", true, false, "no such address"},
		{"RCPT", "554 5.7.1 <team@example.com>: Relay access denied", false, true, "relay"},
		{"MAIL", "553 5.7.1 not owned by user", false, true, "set from"},
		{"MAIL", "552 5.3.4 too big", true, false, "larger"},
		{"AUTH", "535 5.7.8 no", false, true, "username and password"},
		{"AUTH", "454 4.7.0 later", false, false, "454"},
		{"", "554 no service for you", false, true, "blocklist"},
		{"", "421 too many", false, false, "421"},
		{"DATA", "421 4.3.2 going down", false, false, "421"},
	} {
		s, ca := start(t, smtpd.Options{Script: smtpd.Script{c.step: smtpd.Say(c.reply + "\r\n")}})
		_, err := sink(t, s.Port, ca, nil).Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
		if err == nil || sinks.IsPermanent(err) != c.permanent || sinks.IsSinkFault(err) != c.held || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s to %q: permanent %v, held %v, %v", c.reply, c.step, sinks.IsPermanent(err), sinks.IsSinkFault(err), err)
		}
	}
}

func TestNothingIsBlamedWhereTheContextEnds(t *testing.T) {
	s, ca := start(t, smtpd.Options{Script: smtpd.Script{".": smtpd.Silence("")}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		s.Wait(t, func() bool { return slices.Contains(s.Commands(), "DATA") })
		cancel()
	}()
	_, err := sink(t, s.Port, ca, nil).Deliver(ctx, sinktest.Delivery(t, 1, sinktest.Mail))
	if !errors.Is(err, context.Canceled) || sinks.IsPermanent(err) || sinks.IsSinkFault(err) {
		t.Error(err)
	}
}

func TestCheckNamesTheStepAndTheFix(t *testing.T) {
	for _, c := range []struct {
		fact, step, fix string
		script          smtpd.Script
	}{
		{"all is well", "", "", nil},
		{"the password is wrong", "sign-in", "check username and password", smtpd.Script{"AUTH": smtpd.Say("535 5.7.8 no\r\n")}},
		{"the address is on a blocklist", "greeting", "blocklist", smtpd.Script{"": smtpd.Say("554 5.7.1 listed\r\n")}},
		{"no STARTTLS", "TLS", "smtps://", smtpd.Script{"STARTTLS": smtpd.Say("502 no\r\n")}},
	} {
		s, ca := start(t, smtpd.Options{Script: c.script})
		found := sink(t, s.Port, ca, nil).Check(t.Context())
		last := found[len(found)-1]
		if c.step == "" {
			var said []string
			for _, f := range found {
				said = append(said, f.Step+": "+f.Said)
				if !f.OK {
					t.Errorf("%s: %+v", c.fact, f)
				}
			}
			all := strings.Join(said, "\n")
			for _, want := range []string{"days left", "signed in as desk@example.com by PLAIN", "10000000 octets"} {
				if !strings.Contains(all, want) {
					t.Errorf("%s: nothing says %q:\n%s", c.fact, want, all)
				}
			}
		} else if last.OK || last.Step != c.step || !strings.Contains(last.Fix, c.fix) {
			t.Errorf("%s: %+v", c.fact, found)
		}
		if len(s.Mails()) != 0 || slices.ContainsFunc(s.Commands(), func(l string) bool { return strings.HasPrefix(l, "MAIL") }) {
			t.Errorf("%s: a check sent %q", c.fact, s.Commands())
		}
	}
}

func TestOptionsThatContradictOneAnotherAreRefused(t *testing.T) {
	for fact, edit := range map[string]func(*smtp.Options){
		"imaps":                func(o *smtp.Options) { o.Server = "imaps://example.com" },
		"a user in the server": func(o *smtp.Options) { o.Server = "smtp://u:p@example.com" },
		"insecure with smtps":  func(o *smtp.Options) { o.Server, o.Insecure = "smtps://example.com", true },
		"password alone":       func(o *smtp.Options) { o.Username = "" },
		"user name alone":      func(o *smtp.Options) { o.Password = secret.Secret{} },
		"two ways to sign in":  func(o *smtp.Options) { o.OAuth2.Command = []string{"true"} },
		"a password of lines":  func(o *smtp.Options) { o.Password = secret.New("a\nb") },
		"xoauth2 by password":  func(o *smtp.Options) { o.Auth = "xoauth2" },
		"no certificate":       func(o *smtp.Options) { o.Auth = "external" },
		"a hello of words":     func(o *smtp.Options) { o.Hello = "a b" },
		"no action":            func(o *smtp.Options) { o.Action = "" },
	} {
		o := smtp.Options{
			Options: compose.Options{Action: compose.Forward, From: user, To: []string{"team@example.com"}, RepeatAfter: compose.DefaultRepeatAfter},
			Server:  "smtp://example.com", Username: user, Password: secret.New(password),
		}
		if _, err := smtp.New("desk", o, payload.Renderer{}, sinks.Env{}); err != nil {
			t.Fatal(err)
		}
		edit(&o)
		if _, err := smtp.New("desk", o, payload.Renderer{}, sinks.Env{}); err == nil {
			t.Errorf("%s: nothing is wrong", fact)
		} else if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", fact, err)
		}
	}
}

// A mail has no body of an event, so what a sink may choose for one would be ignored
// in silence.
func TestWhatShapesTheBodyOfAnEventIsRefused(t *testing.T) {
	link := func(*sinks.Delivery, *parser.Attachment) string { return "https://files.example.com/1" }
	for _, c := range []struct {
		format  string
		options payload.Options
		refused string // the key; "": none
	}{
		{"native", payload.Options{}, ""},
		{"native", payload.Options{Attachments: payload.Auto, Link: link}, ""}, // as it is with public_url and nothing else said
		{"raw", payload.Options{}, "format"},
		{"native", payload.Options{Attachments: payload.None}, "attachments"},
		{"native", payload.Options{Attachments: payload.Inline}, "attachments"},
		{"native", payload.Options{Attachments: payload.Store, Link: link}, "attachments"},
		{"native", payload.Options{Only: &payload.Filter{Min: 1}}, "attachments_only"},
	} {
		r, err := payload.NewRenderer(c.format, c.options)
		if err != nil {
			t.Fatal(err)
		}
		o := smtp.Options{
			Options: compose.Options{Action: compose.Forward, From: user, To: []string{"team@example.com"}, RepeatAfter: compose.DefaultRepeatAfter},
			Server:  "smtp://example.com",
		}
		_, err = smtp.New("desk", o, r, sinks.Env{})
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.HasPrefix(err.Error(), c.refused+": has no meaning with type: smtp")) {
			t.Errorf("%s and %+v: %v", c.format, c.options, err)
		}
	}
}
