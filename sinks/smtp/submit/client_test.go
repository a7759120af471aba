package submit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/smtpd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/smtp/submit"
)

func TestMailIsGivenOverEveryKindOfConnectionByEachMechanism(t *testing.T) {
	server, trust := certified(t)
	for _, mode := range []dial.Mode{dial.Plain, dial.StartTLS, dial.Implicit} {
		for _, mechanism := range []string{"", "PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"} {
			t.Run(fmt.Sprint(mode, " ", mechanism), func(t *testing.T) {
				o := smtpd.Options{Required: mechanism != ""}
				if mode != dial.Plain {
					o.TLS, o.Implicit = server, mode == dial.Implicit
				}
				if mechanism != "" {
					o.SASL = map[string]smtpd.Mechanism{mechanism: smtpd.Mechanisms(user, password)[mechanism]}
				}
				s := smtpd.Start(t, o)
				c := client(t, s, func(o *submit.Options) {
					o.Server.Mode, o.TLS = mode, trust
					switch mechanism {
					case "":
					case "XOAUTH2", "OAUTHBEARER":
						o.Username, o.Tokens = user, &tokens{list: []string{password}}
					default:
						signed(o)
					}
				})
				r, err := c.Send(t.Context(), mail(letter, "b@example.com", "c@example.com"))
				if err != nil || r.Reply.String() != "250 2.0.0 Ok: queued as 4F2A" || len(r.Accepted) != 2 || len(r.Refused) != 0 {
					t.Fatalf("%+v, %v", r, err)
				}
				got := s.Mails()
				if len(got) != 1 {
					t.Fatalf("the server has %d mails", len(got))
				}
				if m := got[0]; m.From != "ada@example.com" || !slices.Equal(m.To, []string{"b@example.com", "c@example.com"}) ||
					string(m.Data) != letter || m.As != mechanism || m.TLS != (mode != dial.Plain) {
					t.Errorf("the server has %+v", m)
				}
			})
		}
	}
}

// tokens gives the tokens of a list, the next one when one was refused.
type tokens struct {
	mu   sync.Mutex
	list []string
}

func (s *tokens) Token(context.Context) (secret.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return secret.New(s.list[0]), nil
}

func (s *tokens) Renew(context.Context, secret.Secret) (secret.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 1 {
		return secret.Secret{}, errors.New("there is no newer one")
	}
	s.list = s.list[1:]
	return secret.New(s.list[0]), nil
}

func TestTokenThatWasWithdrawnIsReplacedOnce(t *testing.T) {
	for _, mechanism := range []string{"XOAUTH2", "OAUTHBEARER"} {
		s := smtpd.Start(t, smtpd.Options{Required: true, SASL: map[string]smtpd.Mechanism{mechanism: smtpd.Mechanisms(user, "fresh")[mechanism]}})
		c := client(t, s, func(o *submit.Options) { o.Username, o.Tokens = user, &tokens{list: []string{"stale", "fresh"}} })
		if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil || len(s.Mails()) != 1 {
			t.Errorf("%s: %v, %d mails", mechanism, err, len(s.Mails()))
		}
		c = client(t, s, func(o *submit.Options) {
			o.Username, o.Tokens = user, &tokens{list: []string{"stale", "stale-2", "fresh"}}
		})
		_, err := c.Send(t.Context(), mail(letter, "b@example.com"))
		if v := submit.Grade(err); v.Blame != submit.Account {
			t.Errorf("%s, refused twice: %v, %v", mechanism, err, v)
		}
	}
}

// RFC 4954 section 4: an initial response that makes the command longer than 512
// octets waits for the server's challenge.
func TestLongTokenIsNoInitialResponse(t *testing.T) {
	long := strings.Repeat("t", 1800)
	s := smtpd.Start(t, smtpd.Options{Required: true, SASL: map[string]smtpd.Mechanism{"XOAUTH2": smtpd.Mechanisms(user, long)["XOAUTH2"]}})
	c := client(t, s, func(o *submit.Options) { o.Username, o.Tokens = user, &tokens{list: []string{long}} })
	if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil {
		t.Fatal(err)
	}
	if got := s.Commands(); !slices.Contains(got, "AUTH XOAUTH2") {
		t.Errorf("the commands are %.200q", got)
	}
}

func TestConnectionIsKeptForTheNextMail(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{})
	c := client(t, s, nil)
	for range 3 {
		if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil {
			t.Fatal(err)
		}
	}
	if s.Sessions() != 1 || len(s.Mails()) != 3 {
		t.Errorf("%d connections, %d mails", s.Sessions(), len(s.Mails()))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Commands(); got[len(got)-1] != "QUIT" || strings.Count(strings.Join(got, " "), "EHLO") != 1 {
		t.Errorf("the commands are %q", got)
	}
}

func TestConnectionIsGivenUpWhenItIsIdle(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{})
	c := client(t, s, func(o *submit.Options) { o.Idle = time.Millisecond })
	if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil {
		t.Fatal(err)
	}
	s.Wait(t, func() bool { return s.Open() == 0 && slices.Contains(s.Commands(), "QUIT") })
}

func TestKeptConnectionThatIsDeadIsReplaced(t *testing.T) {
	for fact, reply := range map[string]smtpd.Reply{
		"closed":                smtpd.Cut("").Once(),
		"421":                   smtpd.Cut("421 4.4.2 timeout\r\n").Once(),
		"the sign-in forgotten": smtpd.Say("530 5.7.0 sign in\r\n").Once(),
	} {
		s := smtpd.Start(t, smtpd.Options{})
		c := client(t, s, nil)
		if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil {
			t.Fatal(err)
		}
		s.Script("MAIL", reply)
		if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil {
			t.Errorf("%s: %v", fact, err)
		}
		if s.Sessions() != 2 || len(s.Mails()) != 2 {
			t.Errorf("%s: %d connections, %d mails", fact, s.Sessions(), len(s.Mails()))
		}
	}
}

// RFC 5321 section 3.8: after 421 the server closes. One that forgets to is left.
func TestAConnectionIsNotUsedAfter421(t *testing.T) {
	for _, command := range []string{"MAIL", "RCPT", "DATA"} {
		s := smtpd.Start(t, smtpd.Options{Script: smtpd.Script{command: smtpd.Say("421 4.3.2 going down\r\n").Once()}})
		c := client(t, s, nil)
		if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err == nil {
			t.Errorf("%s: no error", command)
		}
		s.Wait(t, func() bool { return s.Open() == 0 })
		if got := s.Commands(); !strings.HasPrefix(got[len(got)-1], command) {
			t.Errorf("%s: after it came %q", command, got[len(got)-1])
		}
		if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil || s.Sessions() != 2 {
			t.Errorf("%s: then %v, %d connections", command, err, s.Sessions())
		}
	}
}

func TestNoMoreConnectionsThanAllowed(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{})
	c := client(t, s, func(o *submit.Options) { o.Connections = 3 })
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if _, err := c.Send(t.Context(), mail(letter, "b@example.com")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.Sessions() > 3 || len(s.Mails()) != 40 {
		t.Errorf("%d connections, %d mails", s.Sessions(), len(s.Mails()))
	}
}

func TestEachRecipientHasAResultOfItsOwn(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{Script: smtpd.Script{
		"RCPT TO:<gone@example.com>": smtpd.Say("550 5.1.1 no such user\r\n"),
		"RCPT TO:<busy@example.com>": smtpd.Say("450 4.2.1 try later\r\n"),
	}})
	c := client(t, s, nil)
	r, err := c.Send(t.Context(), mail(letter, "gone@example.com", "b@example.com", "busy@example.com", "c@example.com"))
	if !slices.Equal(r.Accepted, []string{"b@example.com", "c@example.com"}) || len(r.Refused) != 2 {
		t.Errorf("%+v", r)
	}
	if v := submit.Grade(err); v.Blame != submit.Passing || !strings.Contains(err.Error(), "450 4.2.1 try later (and 1 more refused)") {
		t.Errorf("one that is to be tried again decides: %v, %v", err, v)
	}
	r, err = c.Send(t.Context(), mail(letter, "gone@example.com"))
	if v := submit.Grade(err); v.Blame != submit.Recipient || len(r.Accepted) != 0 || !strings.Contains(err.Error(), "550 5.1.1 no such user") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = c.Send(t.Context(), mail(letter, "b@example.com")); err != nil {
		t.Errorf("after a transaction that was given up: %v", err)
	}
	if got := s.Commands(); s.Sessions() != 1 || !slices.Contains(got, "RSET") || slices.Contains(got[len(got)-3:], "EHLO") {
		t.Errorf("%d connections; the commands are %q", s.Sessions(), got)
	}
}

// RFC 5321 section 4.5.3.1.10: a client that is told of too many recipients sends
// to those accepted, and then to the others.
func TestServerThatTakesFewRecipientsGetsSeveralTransactions(t *testing.T) {
	for _, refusal := range []string{"452 4.5.3 too many recipients", "452 too many", "552 too many"} {
		s := smtpd.Start(t, smtpd.Options{Script: smtpd.Script{"RCPT TO:<c@example.com>": smtpd.Say(refusal + "\r\n").Once()}})
		c := client(t, s, nil)
		to := []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"}
		r, err := c.Send(t.Context(), mail(letter, to...))
		if err != nil || !slices.Equal(r.Accepted, to) {
			t.Errorf("%s: %+v, %v", refusal, r, err)
		}
		if got := s.Mails(); len(got) != 2 || len(got[0].To) != 2 || len(got[1].To) != 2 || string(got[1].Data) != letter {
			t.Errorf("%s: the server has %+v", refusal, got)
		}
	}
}

func TestAnswerToTheEndThatIsLostIsToldOfAsSuch(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{Script: smtpd.Script{".": smtpd.Cut("").After().Once()}})
	c := client(t, s, nil)
	_, err := c.Send(t.Context(), mail(letter, "b@example.com"))
	var e *submit.Error
	if !errors.As(err, &e) || !e.Lost || submit.Grade(err).Blame != submit.Passing || !strings.Contains(err.Error(), "may have been accepted") {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestMailThatTheServerCannotTakeIsNotBegun(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{Ext: []string{"SIZE 100"}})
	c := client(t, s, nil)
	with := func(edit func(*submit.Mail)) submit.Maker {
		return func(o submit.Offers) (*submit.Mail, error) {
			if o.MaxSize != 100 || o.EightBit || o.UTF8 {
				t.Errorf("the server offers %+v", o)
			}
			m, err := mail(letter, "b@example.com")(o)
			edit(m)
			return m, err
		}
	}
	for _, c2 := range []struct {
		fact, says string
		edit       func(*submit.Mail)
	}{
		{"larger than SIZE", "101 octets", func(m *submit.Mail) { m.Size = 101 }},
		{"needs SMTPUTF8", "SMTPUTF8", func(m *submit.Mail) { m.UTF8 = true }},
		{"needs 8BITMIME", "8BITMIME", func(m *submit.Mail) { m.EightBit = true }},
		{"no recipients", "no recipients", func(m *submit.Mail) { m.To = nil }},
		{"an empty recipient", "no address", func(m *submit.Mail) { m.To = []string{""} }},
		{"a line break in a recipient", "no address", func(m *submit.Mail) { m.To = []string{"a@b>\r\nRCPT TO:<c@d"} }},
		{"a parameter in a recipient", "no address", func(m *submit.Mail) { m.To = []string{"a@b> NOTIFY=NEVER"} }},
		{"a line break in the sender", "no address", func(m *submit.Mail) { m.From = "a@b\nX" }},
		{"a recipient without end", "no address", func(m *submit.Mail) { m.To = []string{strings.Repeat("a", 500) + "@b"} }},
	} {
		_, err := c.Send(t.Context(), with(c2.edit))
		if v := submit.Grade(err); err == nil || v.Blame != submit.Recipient || !strings.Contains(err.Error(), c2.says) {
			t.Errorf("%s: %v, %v", c2.fact, err, v)
		}
	}
	if _, err := c.Send(t.Context(), with(func(*submit.Mail) {})); err != nil {
		t.Error(err)
	}
	if got := s.Commands(); s.Sessions() != 1 || strings.Count(strings.Join(got, "\n"), "MAIL") != 1 {
		t.Errorf("the commands are %q", got)
	}
}

func TestParametersAreSaidOnlyWhereOffered(t *testing.T) {
	size := fmt.Sprintf("SIZE=%d", len(letter))
	for _, c := range []struct {
		fact   string
		ext    []string
		utf8   bool
		params []string
	}{
		{"none", []string{}, false, nil},
		{"size", []string{"SIZE"}, false, []string{size}},
		{"all, in lower case", []string{"size 1000", "8bitmime", "smtpUTF8"}, true, []string{"BODY=8BITMIME", size, "SMTPUTF8"}},
		{"SMTPUTF8 only when needed", []string{"SMTPUTF8"}, false, nil},
	} {
		s := smtpd.Start(t, smtpd.Options{Ext: c.ext})
		_, err := client(t, s, nil).Send(t.Context(), func(o submit.Offers) (*submit.Mail, error) {
			m, err := mail(letter, "b@example.com")(o)
			m.From, m.UTF8 = "", c.utf8
			return m, err
		})
		if err != nil {
			t.Errorf("%s: %v", c.fact, err)
			continue
		}
		got := strings.Fields(s.Mails()[0].Params)
		slices.Sort(got)
		if !slices.Equal(got, c.params) || s.Mails()[0].From != "" {
			t.Errorf("%s: MAIL FROM:<%s> %q", c.fact, s.Mails()[0].From, got)
		}
	}
}

func TestServerWithoutEHLOIsGreetedByHELO(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{Script: smtpd.Script{"EHLO": smtpd.Say("502 what?\r\n")}})
	if _, err := client(t, s, func(o *submit.Options) { o.Hello = "host.example.com" }).Send(t.Context(), mail(letter, "b@example.com")); err != nil {
		t.Fatal(err)
	}
	if got := s.Commands(); !slices.Equal(got[:2], []string{"EHLO host.example.com", "HELO host.example.com"}) {
		t.Errorf("the commands are %q", got)
	}
}

func TestMailThatCannotBeReadToItsEndIsNotEnded(t *testing.T) {
	for fact, source := range map[string]io.Reader{
		"an error":  io.MultiReader(strings.NewReader(letter[:40]), broken{}),
		"too short": strings.NewReader(letter[:40]),
		"too long":  strings.NewReader(letter + "more"),
	} {
		s := smtpd.Start(t, smtpd.Options{})
		_, err := client(t, s, nil).Send(t.Context(), func(o submit.Offers) (*submit.Mail, error) {
			m, err := mail(letter, "b@example.com")(o)
			m.Open = func() (io.ReadCloser, error) { return io.NopCloser(source), nil }
			return m, err
		})
		if err == nil || submit.Grade(err).Blame != submit.Passing {
			t.Errorf("%s: %v", fact, err)
			continue
		}
		s.Wait(t, func() bool { return s.Open() == 0 })
		if len(s.Mails()) != 0 {
			t.Errorf("%s: the server has %q", fact, s.Mails()[0].Data)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

func TestAnEndedContextEndsEveryStep(t *testing.T) {
	for _, step := range []string{"", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		s := smtpd.Start(t, smtpd.Options{SASL: smtpd.Mechanisms(user, password), Script: smtpd.Script{step: smtpd.Silence("")}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := client(t, s, signed).Send(ctx, mail(letter, "b@example.com"))
			done <- err
		}()
		s.Wait(t, func() bool {
			n := len(s.Commands())
			return step == "" && s.Sessions() > 0 || n > 0 && (strings.HasPrefix(s.Commands()[n-1], step) || step == "." && s.Commands()[n-1] == "DATA")
		})
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("at %q: %v", step, err)
		}
	}
}

func TestServerThatStopsInTheMiddleOfTheMailIsHeard(t *testing.T) {
	large := letter + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 100_000)
	s := smtpd.Start(t, smtpd.Options{BodyStop: 5000, Script: smtpd.Script{"body": smtpd.Cut("552 5.3.4 too large\r\n")}})
	_, err := client(t, s, nil).Send(t.Context(), mail(large, "b@example.com"))
	if err == nil {
		t.Fatal("it was accepted")
	}
	// The connection may be reset before the words have been read.
	var e *submit.Error
	if !errors.As(err, &e) || e.Reply.Code != 552 && e.Reply.Code != 0 || e.Lost {
		t.Errorf("%v", err)
	}
}

func TestNoServerIsAnErrorThatBlamesNoMail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	c, err := submit.New(submit.Options{Server: dial.Server{Scheme: "smtp", Host: "127.0.0.1", Port: port, Mode: dial.Plain}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Send(t.Context(), mail(letter, "b@example.com"))
	if v := submit.Grade(err); v.Blame != submit.Passing || !strings.Contains(v.Do, "nothing listens there") {
		t.Errorf("%v, %+v", err, v)
	}
}

func TestNothingShowsASecret(t *testing.T) {
	s := smtpd.Start(t, smtpd.Options{SASL: smtpd.Mechanisms(user, password), Script: smtpd.Script{
		"AUTH": smtpd.Say("535 5.7.8 not " + password + " nor AGFkYUBleGFtcGxlLmNvbQBodW50ZXIyLWNhbmFyeQ==\r\n"),
	}})
	c := client(t, s, signed)
	_, err := c.Send(t.Context(), mail(letter, "b@example.com"))
	said := fmt.Sprintf("%v %+v %#v %v %+v %#v", err, err, submit.Grade(err), c, c, c)
	if err == nil || strings.Contains(said, password) || bytes.Contains([]byte(said), []byte("aHVudGVyMi1jYW5hcnk")) || strings.Contains(said, "BodW50ZXIyLWNhbmFyeQ") {
		t.Errorf("said: %s", said)
	}
}
