package submit_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
	"github.com/postferry/postferry/sinks/smtp/submit"
)

// conversation is a connection by hand.
type conversation struct {
	net.Conn
	t *testing.T
}

func talk(t *testing.T, s *smtpd.Server) conversation {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(s.Host, s.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return conversation{c, t}
}

// drain reads until the server closes the connection.
func (c conversation) drain() {
	if _, err := io.Copy(io.Discard, c); err != nil {
		c.t.Fatal(err)
	}
}

// steps are the names in a script of all a session comes by.
var steps = []string{"", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "body", "."}

func TestHostileAnswersEndTheSessionAndBlameNoMail(t *testing.T) {
	server, trust := certified(t)
	for fact, reply := range map[string]smtpd.Reply{
		"cut":                     smtpd.Cut(""),
		"cut in the middle":       smtpd.Cut("25"),
		"cut between lines":       smtpd.Cut("250-one\r\n"),
		"no code":                 smtpd.Cut("hello\r\n"),
		"a code that is none":     smtpd.Cut("199 no\r\n"),
		"a code of the future":    smtpd.Cut("650 no\r\n"),
		"a code and no space":     smtpd.Cut("250no\r\n"),
		"two codes in a reply":    smtpd.Cut("250-one\r\n550 two\r\n"),
		"an endless line":         smtpd.Endless("250 ", "x"),
		"an endless reply":        smtpd.Endless("", "250-x\r\n"),
		"an endless reply of 4xx": smtpd.Endless("", "450-x\r\n"),
		"zeroes":                  smtpd.Cut("\x00\x00\x00\r\n"),
		"TLS":                     smtpd.Cut("\x16\x03\x01\x02\x00\r\n"),
		"421":                     smtpd.Cut("421 4.3.2 going down\r\n"),
	} {
		for _, step := range steps {
			s := smtpd.Start(t, smtpd.Options{TLS: server, SASL: smtpd.Mechanisms(user, password), BodyStop: 10, Script: smtpd.Script{step: reply}})
			c := client(t, s, func(o *submit.Options) { signed(o); o.Server.Mode, o.TLS = dial.StartTLS, trust })
			_, err := c.Send(t.Context(), mail(letter, "b@example.com"))
			v := submit.Grade(err)
			if err == nil && step != "body" || v.Blame == submit.Recipient || len(err.Error()) > 2000 {
				t.Errorf("%s at %q: %v, %+v", fact, step, err, v)
			}
			for _, line := range s.Commands() {
				if strings.Contains(line, password) || strings.HasPrefix(line, "AUTH") && step == "STARTTLS" {
					t.Errorf("%s at %q: %q went over the wire", fact, step, line)
				}
			}
		}
	}
}

func TestRefusalsOfSTARTTLSSendNothingInClear(t *testing.T) {
	server, trust := certified(t)
	for _, c := range []struct {
		fact   string
		o      smtpd.Options
		blame  submit.Blame
		says   string
		script smtpd.Script
	}{
		{"not offered", smtpd.Options{}, submit.Account, "does not offer STARTTLS", nil},
		{"refused", smtpd.Options{TLS: server}, submit.Account, "502", smtpd.Script{"STARTTLS": smtpd.Say("502 5.5.1 no\r\n")}},
		{"not now", smtpd.Options{TLS: server}, submit.Passing, "454", smtpd.Script{"STARTTLS": smtpd.Say("454 4.7.0 not now\r\n")}},
		{"an answer injected behind the consent", smtpd.Options{TLS: server}, submit.Account, "in clear text after it agreed to TLS",
			smtpd.Script{"STARTTLS": smtpd.Say("220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n")}},
		{"EHLO is not known", smtpd.Options{TLS: server}, submit.Account, "500", smtpd.Script{"EHLO": smtpd.Say("500 what\r\n")}},
	} {
		c.o.Script, c.o.SASL = c.script, smtpd.Mechanisms(user, password)
		s := smtpd.Start(t, c.o)
		_, err := client(t, s, func(o *submit.Options) { signed(o); o.Server.Mode, o.TLS = dial.StartTLS, trust }).Send(t.Context(), mail(letter, "b@example.com"))
		v := submit.Grade(err)
		if err == nil || v.Blame != c.blame || !strings.Contains(err.Error(), c.says) || v.Do == "" {
			t.Errorf("%s: %v, %+v", c.fact, err, v)
		}
		for _, line := range s.Commands() {
			if word, _, _ := strings.Cut(line, " "); word != "EHLO" && word != "STARTTLS" {
				t.Errorf("%s: %q went over the wire in clear text", c.fact, line)
			}
		}
	}
}

func TestServerNobodyVouchesForGetsNothing(t *testing.T) {
	server, _ := certified(t)
	for _, mode := range []dial.Mode{dial.StartTLS, dial.Implicit} {
		s := smtpd.Start(t, smtpd.Options{TLS: server, Implicit: mode == dial.Implicit, SASL: smtpd.Mechanisms(user, password)})
		_, err := client(t, s, func(o *submit.Options) { signed(o); o.Server.Mode = mode }).Send(t.Context(), mail(letter, "b@example.com"))
		if v := submit.Grade(err); v.Blame != submit.Account || !strings.Contains(v.Do, "ca_file") {
			t.Errorf("%s: %v, %+v", mode, err, v)
		}
		if slices.ContainsFunc(s.Commands(), func(l string) bool { return strings.HasPrefix(l, "AUTH") }) {
			t.Errorf("%s: %q", mode, s.Commands())
		}
	}
}

// A server that answers twice would otherwise have the second answer taken for
// that of the next command, and a mail for accepted that was refused.
func TestAnswerThatNobodyAskedForEndsTheSession(t *testing.T) {
	for _, step := range []string{"EHLO", "MAIL", "RCPT"} {
		s := smtpd.Start(t, smtpd.Options{Script: smtpd.Script{step: smtpd.Say("250 one\r\n250 two\r\n")}})
		_, err := client(t, s, nil).Send(t.Context(), mail(letter, "b@example.com"))
		if err == nil || !strings.Contains(err.Error(), "before it was asked") || submit.Grade(err).Blame != submit.Passing {
			t.Errorf("%s: %v", step, err)
		}
		if len(s.Mails()) != 0 {
			t.Errorf("%s: a mail was given", step)
		}
	}
}

func TestOddButHonestAnswersAreUnderstood(t *testing.T) {
	for fact, script := range map[string]smtpd.Script{
		"a code alone":             {"MAIL": smtpd.Say("250\r\n"), "RCPT": smtpd.Say("250\r\n"), "DATA": smtpd.Say("354\r\n")},
		"LF alone":                 {"MAIL": smtpd.Say("250 ok\n"), ".": smtpd.Say("250 ok\n").After()},
		"251":                      {"RCPT": smtpd.Say("251 will forward\r\n").After(), "MAIL": smtpd.Say("250 x\r\n").After()},
		"252":                      {"RCPT": smtpd.Say("252 will try\r\n").After()},
		"another 2xx at the end":   {".": smtpd.Say("251 ok\r\n").After()},
		"a long greeting":          {"": smtpd.Say(strings.Repeat("220-"+strings.Repeat("welcome ", 60)+"\r\n", 100) + "220 x\r\n")},
		"extensions in lower case": {"EHLO": smtpd.Say("250-x\r\n250-auth=LOGIN PLAIN\r\n250-Auth login\r\n250 size\r\n")},
	} {
		s := smtpd.Start(t, smtpd.Options{Script: script, SASL: smtpd.Mechanisms(user, password)})
		edit := func(o *submit.Options) {}
		if fact == "extensions in lower case" {
			edit = signed
		}
		if strings.HasPrefix(fact, "a code alone") || fact == "LF alone" { // what is scripted is not obeyed
			for name, r := range script {
				script[name] = r.After()
				s.Script(name, r.After())
			}
		}
		if _, err := client(t, s, edit).Send(t.Context(), mail(letter, "b@example.com")); err != nil {
			t.Errorf("%s: %v", fact, err)
		}
	}
}

func FuzzServer(f *testing.F) {
	f.Add([]byte("220 x\r\n250-x\r\n250-STARTTLS\r\n250 SIZE 1\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"))
	f.Add([]byte("220 x\r\n500 x\r\n250 x\r\n250 ok\r\n550 no\r\n250 reset\r\n"))
	f.Add([]byte("220-\r\n220 \r\n250-AUTH PLAIN\r\n250 x\r\n334 \r\n235 x\r\n"))
	f.Fuzz(func(t *testing.T, octets []byte) {
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
				// A line for each that comes, so that answers follow commands.
				in, lines := bufio.NewReader(c), bytes.SplitAfter(octets, []byte("\n"))
				for _, line := range lines {
					if len(line) == 0 { // nothing is left to say
						break
					}
					if _, err := c.Write(line); err != nil {
						break
					}
					if len(line) > 3 && line[3] == '-' {
						continue
					}
					if _, err := in.ReadString('\n'); err != nil {
						break
					}
				}
				c.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		c, err := submit.New(submit.Options{Server: dial.Server{Scheme: "smtp", Host: "127.0.0.1", Port: port, Mode: dial.Plain}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Send(t.Context(), mail(letter, "b@example.com"))
		var e *submit.Error
		if err == nil && len(r.Accepted) != 1 || err != nil && (!errors.As(err, &e) || errors.Is(err, os.ErrDeadlineExceeded)) {
			t.Errorf("%+v, %v", r, err)
		}
		c.Close()
		l.Close()
		<-done
	})
}
