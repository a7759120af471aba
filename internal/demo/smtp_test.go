package demo

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

func smtpClient(t *testing.T, w *World) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(w.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// newest is the last mail in INBOX, by IMAP.
func newest(t *testing.T, w *World) []byte {
	t.Helper()
	c := imapSignIn(t, w, nil, nil)
	n := inbox(t, c).NumMessages
	whole := &imap.FetchItemBodySection{Peek: true}
	got, err := c.Fetch(imap.SeqSetNum(n), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil || len(got) != 1 {
		t.Fatalf("fetch the newest mail: %d, %v", len(got), err)
	}
	return got[0].FindBodySection(whole)
}

func TestMailBySMTPArrivesInTheInboxAndEndsIdle(t *testing.T) {
	w := start(t, Options{})
	exists := make(chan uint32, 10)
	i := imapSignIn(t, w, exists, nil)
	before := inbox(t, i).NumMessages
	idle, err := i.Idle()
	if err != nil {
		t.Fatal(err)
	}
	sent := "From: Ada <ada@customer.example>\r\nTo: x@anywhere.example\r\nSubject: caf\xc3\xa9\r\n\r\n.dots\r\n..and more\r\n\r\n" +
		strings.Repeat("long ", 2000) + "\r\n"
	c := smtpClient(t, w)
	if err := c.SendMail("ada@customer.example", []string{"x@anywhere.example", "y@elsewhere.example"}, strings.NewReader(sent)); err != nil {
		t.Fatal(err)
	}
	if n := await(t, exists); n != before+1 {
		t.Errorf("%d mails exist, want %d", n, before+1)
	}
	idle.Close()
	if err := idle.Wait(); err != nil {
		t.Error(err)
	}

	got := newest(t, w)
	trace, same := bytes.CutSuffix(got, []byte(sent))
	if !same {
		t.Fatalf("the mail is not as it was sent: %q", got)
	}
	m, err := mail.ReadMessage(bytes.NewReader(append(trace, "\r\n"...)))
	if err != nil {
		t.Fatalf("the trace fields %q: %v", trace, err)
	}
	if got := m.Header.Get("Return-Path"); got != "<ada@customer.example>" {
		t.Errorf("Return-Path is %q", got)
	}
	if got := m.Header["Delivered-To"]; !slices.Equal(got, []string{"x@anywhere.example", "y@elsewhere.example"}) {
		t.Errorf("Delivered-To are %q", got)
	}
	if got := m.Header.Get("Received"); !strings.HasPrefix(got, "from localhost ([127.0.0.1]) by localhost with ESMTP; ") {
		t.Errorf("Received is %q", got)
	}
}

func TestSMTPTakesAnyUserAndPassword(t *testing.T) {
	w := start(t, Options{})
	c := smtpClient(t, w)
	if err := c.Auth(sasl.NewPlainClient("", "anybody", "anything")); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail("", []string{"postmaster@localhost"}, strings.NewReader("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Error(err)
	}
	if got := newest(t, w); !bytes.HasPrefix(got, []byte("Return-Path: <>\r\nDelivered-To: postmaster@localhost\r\nReceived: ")) {
		t.Errorf("the mail begins with %q", got)
	}
}

func TestSMTPSaysWhatItsLimitsAre(t *testing.T) {
	w := start(t, Options{})
	c := smtpClient(t, w)
	if ok, param := c.Extension("SIZE"); !ok || param != "26214400" {
		t.Errorf("SIZE is %v, %q", ok, param)
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		t.Error("STARTTLS is offered")
	}
	to := slices.Repeat([]string{"x@example.com"}, 101)
	var said *smtp.SMTPError
	if err := c.SendMail("a@example.com", to, strings.NewReader("x")); !errors.As(err, &said) || said.Code != 452 {
		t.Errorf("101 recipients gave %v", err)
	}
	c.Reset()
	before := w.imap.room
	w.imap.room = 0
	if err := c.SendMail("a@example.com", to[:1], strings.NewReader("Subject: x\r\n\r\n")); !errors.As(err, &said) || said.Code != 452 {
		t.Errorf("a full mailbox gave %v", err)
	}
	w.imap.room = before
	if err := c.SendMail("a@example.com", to[:1], strings.NewReader("Subject: x\r\n\r\n")); err != nil {
		t.Errorf("after that a mail gave %v", err)
	}
}

func TestSMTPRefusesMailThatIsTooLarge(t *testing.T) {
	var got [][]byte
	s := newSMTPServer(func(raw []byte, _ time.Time) error { got = append(got, raw); return nil }, log.New(io.Discard, "", 0))
	s.server.MaxMessageBytes = 1000
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(l)
	var work sync.WaitGroup
	work.Go(func() { s.serve(g) })
	defer func() { g.shut(); work.Wait(); s.wait() }()
	c := smtpClient(t, &World{SMTP: l.Addr().String()})
	var said *smtp.SMTPError
	if err := c.SendMail("a@example.com", []string{"b@example.com"}, strings.NewReader(strings.Repeat("x", 999)+"\r\n")); !errors.As(err, &said) || said.Code != 552 || len(got) != 0 {
		t.Errorf("1001 octets gave %v and %d mails", err, len(got))
	}
	if err := c.SendMail("a@example.com", []string{"b@example.com"}, strings.NewReader(strings.Repeat("x", 990)+"\r\n")); err != nil || len(got) != 1 {
		t.Errorf("992 octets gave %v and %d mails", err, len(got))
	}
}

func TestSMTPNamesCannotBreakTheTrace(t *testing.T) {
	for helo, want := range map[string]string{
		"mail.example.com": "mail.example.com", "[192.0.2.1]": "[192.0.2.1]",
		"a;b": "unknown", "a(b": "unknown", "a<b>": "unknown", "h\xc3\xb6st": "unknown", "a\r\nX-Evil: 1": "unknown",
	} {
		if got := domain(helo); got != want {
			t.Errorf("%q stands as %q, want %q", helo, got, want)
		}
	}
	if got := oneLine("a@b\r\nX-Evil: 1\x00"); got != "a@bX-Evil: 1" {
		t.Errorf("an address stands as %q", got)
	}
}

func TestSMTPCutShortIsNotDelivered(t *testing.T) {
	w := start(t, Options{})
	c, err := textproto.Dial("tcp", w.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		say  string
		code int
	}{{"", 220}, {"EHLO x", 250}, {"MAIL FROM:<a@example.com>", 250}, {"RCPT TO:<b@example.com>", 250}, {"DATA", 354}} {
		if step.say != "" {
			c.PrintfLine("%s", step.say)
		}
		if _, text, err := c.ReadResponse(step.code); err != nil {
			t.Fatalf("%s: %s, %v", step.say, text, err)
		}
	}
	c.PrintfLine("Subject: cut\r\n\r\nhalf a")
	c.Close()
	w.Close() // the server has let go of the connection
	st, err := w.imap.user.Status("INBOX", &imap.StatusOptions{NumMessages: true})
	if err != nil || int(*st.NumMessages) != len(imapSamples) {
		t.Errorf("%v mails are in INBOX, %v", *st.NumMessages, err)
	}
}
