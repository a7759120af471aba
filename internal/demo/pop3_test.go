package demo

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pop3 "github.com/knadh/go-pop3"
)

var mrose = Account{User: "mrose", Password: "tan staaf"}

// rfcMails are as large as those of RFC 1939's example session.
func rfcMails() [][]byte {
	first := "From: a@example.com\r\nSubject: one\r\n\r\n.dot\r\n"
	second := "From: b@example.com\r\nSubject: two\r\n\r\nline 1\r\nline 2\r\n\r\n"
	return [][]byte{
		[]byte(first + strings.Repeat("x", 120-2-len(first)) + "\r\n"),
		[]byte(second + strings.Repeat("y", 200-2-len(second)) + "\r\n"),
	}
}

func newDrop(mails ...[]byte) *maildrop {
	d := new(maildrop)
	for _, m := range mails {
		d.add(m)
	}
	return d
}

// talk holds a dialogue over one connection: lines "C: …" are sent, lines
// "S: …" have to come, "S: (end)" is the end of the connection. The connection
// is closed then.
func talk(t *testing.T, d *maildrop, dialogue string) {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&pop3Server{account: mrose, drop: d}).session(theirs)
	}()
	ours.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(ours)
	for _, line := range strings.Split(dialogue, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		who, text, _ := strings.Cut(line, ":")
		text = strings.TrimPrefix(text, " ")
		if who == "C" {
			if _, err := fmt.Fprintf(ours, "%s\r\n", text); err != nil {
				t.Errorf("send %q: %v", text, err)
			}
			continue
		}
		got, err := r.ReadString('\n')
		if text == "(end)" {
			if err != io.EOF {
				t.Errorf("the server said %q (%v) and did not end the connection", got, err)
			}
		} else if err != nil || got != text+"\r\n" {
			t.Errorf("the server said %q (%v), want %q", got, err, text)
			break
		}
	}
	ours.Close()
	<-done
}

// The session of RFC 1939 section 10, with USER and PASS where it has APOP.
func TestPOP3SessionOfTheRFC(t *testing.T) {
	mails := rfcMails()
	d := newDrop(mails...)
	talk(t, d, `
		S: +OK POP3 server ready
		C: USER mrose
		S: +OK send PASS
		C: PASS tan staaf
		S: +OK mrose's maildrop has 2 messages (320 octets)
		C: STAT
		S: +OK 2 320
		C: LIST
		S: +OK 2 messages (320 octets)
		S: 1 120
		S: 2 200
		S: .
		C: RETR 1
		S: +OK 120 octets
		S: From: a@example.com
		S: Subject: one
		S:
		S: ..dot
		S: `+strings.Repeat("x", 75)+`
		S: .
		C: DELE 1
		S: +OK message 1 deleted
		C: RETR 2
		S: +OK 200 octets
		S: From: b@example.com
		S: Subject: two
		S:
		S: line 1
		S: line 2
		S:
		S: `+strings.Repeat("y", 143)+`
		S: .
		C: DELE 2
		S: +OK message 2 deleted
		C: QUIT
		S: +OK POP3 server signing off (maildrop empty)
		S: (end)`)
	if len(d.mails) != 0 || d.locked {
		t.Errorf("%d mails left, locked %v", len(d.mails), d.locked)
	}
}

const signedIn = `
		S: +OK POP3 server ready
		C: USER mrose
		S: +OK send PASS
		C: PASS tan staaf
		S: +OK mrose's maildrop has 2 messages (320 octets)
`

func TestPOP3Commands(t *testing.T) {
	for _, c := range []struct{ fact, dialogue string }{
		{"LIST tells of one mail, or that there is none", `
			C: LIST 2
			S: +OK 2 200
			C: LIST 3
			S: -ERR no such message, 2 messages in maildrop`},
		{"UIDL tells of one mail and of all", `
			C: UIDL
			S: +OK unique-id listing follows
			S: 1 demo-1
			S: 2 demo-2
			S: .
			C: UIDL 2
			S: +OK 2 demo-2
			C: UIDL 3
			S: -ERR no such message, 2 messages in maildrop`},
		{"a deleted mail is out of every listing until RSET", `
			C: DELE 1
			S: +OK message 1 deleted
			C: DELE 1
			S: -ERR no such message, 1 messages in maildrop
			C: RETR 1
			S: -ERR no such message, 1 messages in maildrop
			C: STAT
			S: +OK 1 200
			C: LIST
			S: +OK 1 messages (200 octets)
			S: 2 200
			S: .
			C: UIDL
			S: +OK unique-id listing follows
			S: 2 demo-2
			S: .
			C: RSET
			S: +OK maildrop has 2 messages (320 octets)
			C: STAT
			S: +OK 2 320`},
		{"TOP gives the header, the empty line and that many lines", `
			C: TOP 2 1
			S: +OK top of message follows
			S: From: b@example.com
			S: Subject: two
			S:
			S: line 1
			S: .
			C: TOP 2 0
			S: +OK top of message follows
			S: From: b@example.com
			S: Subject: two
			S:
			S: .
			C: TOP 1 999999999
			S: +OK top of message follows
			S: From: a@example.com
			S: Subject: one
			S:
			S: ..dot
			S: ` + strings.Repeat("x", 75) + `
			S: .
			C: TOP 100 3
			S: -ERR no such message, 2 messages in maildrop
			C: TOP 1
			S: -ERR TOP wants a message number and a count of lines`},
		{"keywords are of either case, and NOOP does nothing", `
			C: noop
			S: +OK
			C: Stat
			S: +OK 2 320`},
		{"numbers are decimal and of mails that are there", `
			C: RETR 0
			S: -ERR no such message, 2 messages in maildrop
			C: RETR -1
			S: -ERR RETR wants a message number
			C: RETR +1
			S: -ERR RETR wants a message number
			C: RETR 0x1
			S: -ERR RETR wants a message number
			C: RETR 18446744073709551617
			S: -ERR RETR wants a message number
			C: RETR
			S: -ERR RETR wants a message number
			C: DELE 1 2
			S: -ERR DELE wants a message number`},
		{"unknown commands and a second sign-in are refused", `
			C: STLS
			S: -ERR there is no such command
			C: USER mrose
			S: -ERR you are signed in already
			C:
			S: -ERR there is no such command`},
		{"CAPA is RFC 2449's", `
			C: CAPA
			S: +OK Capability list follows
			S: TOP
			S: USER
			S: UIDL
			S: RESP-CODES
			S: AUTH-RESP-CODE
			S: PIPELINING
			S: EXPIRE NEVER
			S: IMPLEMENTATION postferry-demo
			S: .`},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := newDrop(rfcMails()...)
			talk(t, d, signedIn+c.dialogue+`
				C: QUIT
				S: +OK POP3 server signing off (2 messages left)
				S: (end)`)
			if len(d.mails) != 2 || d.locked {
				t.Errorf("%d mails left, locked %v", len(d.mails), d.locked)
			}
		})
	}
}

func TestPOP3DeletesOnlyWithQuit(t *testing.T) {
	d := newDrop(rfcMails()...)
	talk(t, d, signedIn+`
		C: DELE 1
		S: +OK message 1 deleted`)
	if len(d.mails) != 2 || d.locked {
		t.Errorf("without QUIT %d of 2 mails are left, locked %v", len(d.mails), d.locked)
	}
	talk(t, d, signedIn+`
		C: DELE 1
		S: +OK message 1 deleted
		C: RSET
		S: +OK maildrop has 2 messages (320 octets)
		C: DELE 2
		S: +OK message 2 deleted
		C: QUIT
		S: +OK POP3 server signing off (1 messages left)`)
	if len(d.mails) != 1 || d.mails[0].uid != "demo-1" {
		t.Errorf("with QUIT the wrong mails are left: %v", d.mails)
	}
}

func TestPOP3MaildropBelongsToOneSession(t *testing.T) {
	d := newDrop(rfcMails()...)
	if _, ok := d.lock(); !ok {
		t.Fatal("the maildrop is locked from the start")
	}
	d.add([]byte("Subject: three\r\n\r\n"))
	talk(t, d, `
		S: +OK POP3 server ready
		C: USER mrose
		S: +OK send PASS
		C: PASS tan staaf
		S: -ERR [IN-USE] another session has the maildrop
		C: STAT
		S: -ERR sign in with USER and PASS first
		C: QUIT
		S: +OK POP3 server signing off
		S: (end)`)
	if !d.locked {
		t.Error("a session that was refused took the lock away")
	}
	d.unlock(map[*stored]bool{d.mails[0]: true})
	if len(d.mails) != 2 || d.mails[1].uid != "demo-3" {
		t.Errorf("a mail that came during the session was lost: %v", d.mails)
	}
}

func TestPOP3WithoutSignInGivesNothing(t *testing.T) {
	var lines strings.Builder
	for _, c := range []string{"STAT", "LIST", "UIDL", "RETR 1", "TOP 1 0", "DELE 1", "RSET", "NOOP", "AUTH PLAIN", "APOP mrose c4c9334bac560ecc979e58001b3e22fb"} {
		fmt.Fprintf(&lines, "C: %s\nS: -ERR sign in with USER and PASS first\n", c)
	}
	d := newDrop(rfcMails()...)
	talk(t, d, `
		S: +OK POP3 server ready
		`+lines.String()+`
		C: PASS tan staaf
		S: -ERR USER comes first
		C: USER
		S: -ERR USER wants a name
		C: USER mrose
		S: +OK send PASS
		C: PASS tan
		S: -ERR [AUTH] user or password is wrong
		C: PASS tan staaf
		S: -ERR USER comes first
		C: USER nobody
		S: +OK send PASS
		C: PASS tan staaf
		S: -ERR [AUTH] user or password is wrong
		C: USER mrose
		S: +OK send PASS
		C: PASS
		S: -ERR [AUTH] user or password is wrong
		S: (end)`)
	if d.locked {
		t.Error("the maildrop is locked")
	}
}

func TestPOP3BadLines(t *testing.T) {
	longest := "PASS " + strings.Repeat("x", maxLine-len("PASS \r\n"))
	talk(t, newDrop(), `
		S: +OK POP3 server ready
		C: NO`+"\x00"+`OP
		S: -ERR a command is printable ASCII and ends in CRLF
		C: USER mrose
		S: +OK send PASS
		C: `+longest+`
		S: -ERR [AUTH] user or password is wrong
		C: `+longest+`x
		S: -ERR a command has at most 255 octets
		S: (end)`)
}

func TestPOP3EndlessLineIsCut(t *testing.T) {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); (&pop3Server{account: mrose, drop: newDrop()}).session(theirs) }()
	defer func() { ours.Close(); <-done }()
	ours.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(ours)
	r.ReadString('\n')
	sent := make(chan int)
	go func() {
		n := 0
		for {
			k, err := ours.Write(bytes.Repeat([]byte("x"), 1000))
			if n += k; err != nil {
				sent <- n
				return
			}
		}
	}()
	if line, err := r.ReadString('\n'); line != "-ERR a command has at most 255 octets\r\n" {
		t.Errorf("an endless line was answered with %q, %v", line, err)
	}
	if n := await(t, sent); n > 10_000 {
		t.Errorf("%d octets of one line were read", n)
	}
}

func TestPOP3PipelinedCommandsAreAnsweredTogether(t *testing.T) {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); (&pop3Server{account: mrose, drop: newDrop(rfcMails()...)}).session(theirs) }()
	defer func() { ours.Close(); <-done }()
	ours.SetDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 4096)
	ours.Read(buf)
	if _, err := ours.Write([]byte("USER mrose\r\nPASS tan staaf\r\nSTAT\r\nDELE 1\r\nNOOP\r\nNO")); err != nil {
		t.Fatal(err)
	}
	n, err := ours.Read(buf)
	want := "+OK send PASS\r\n+OK mrose's maildrop has 2 messages (320 octets)\r\n+OK 2 320\r\n+OK message 1 deleted\r\n+OK\r\n"
	if string(buf[:n]) != want {
		t.Errorf("one write has %q, %v, want %q", buf[:n], err, want)
	}
}

// lasts says after how long the server ends a connection on which act has
// happened.
func lasts(t *testing.T, d *maildrop, act func(net.Conn, *bufio.Reader)) time.Duration {
	ours, theirs := net.Pipe()
	began := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); (&pop3Server{account: mrose, drop: d}).session(theirs) }()
	defer ours.Close()
	r := bufio.NewReader(ours)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	act(ours, r)
	<-done
	return time.Since(began)
}

func signInRaw(c net.Conn, r *bufio.Reader) {
	for _, line := range []string{"USER mrose", "PASS tan staaf"} {
		fmt.Fprintf(c, "%s\r\n", line)
		r.ReadString('\n')
	}
}

func TestPOP3SilentClientsAreCutOff(t *testing.T) {
	for _, c := range []struct {
		fact string
		act  func(net.Conn, *bufio.Reader)
		want time.Duration
	}{
		{"one that says nothing", func(net.Conn, *bufio.Reader) {}, 30 * time.Second},
		{"one that never signs in", func(c net.Conn, r *bufio.Reader) {
			for range 5 {
				time.Sleep(5 * time.Second)
				fmt.Fprintf(c, "NOOP\r\n")
				r.ReadString('\n')
			}
		}, 30 * time.Second},
		{"one that falls silent after sign-in, 10 minutes after its last command", func(c net.Conn, r *bufio.Reader) {
			signInRaw(c, r)
			time.Sleep(9 * time.Minute)
			fmt.Fprintf(c, "DELE 1\r\n")
			r.ReadString('\n')
		}, 19 * time.Minute},
		{"one that does not take its reply in", func(c net.Conn, r *bufio.Reader) {
			signInRaw(c, r)
			fmt.Fprintf(c, "RETR 1\r\n")
		}, time.Minute},
	} {
		t.Run(c.fact, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(rfcMails()...)
				if got := lasts(t, d, c.act); got != c.want {
					t.Errorf("cut off after %v, want %v", got, c.want)
				}
				// RFC 1939 section 3: without removing any messages.
				if len(d.mails) != 2 || d.locked {
					t.Errorf("%d mails left, locked %v", len(d.mails), d.locked)
				}
			})
		})
	}
}

func TestPOP3MailWithoutALineEndGainsOne(t *testing.T) {
	talk(t, newDrop([]byte("Subject: x\r\n\r\n.no end")), `
		S: +OK POP3 server ready
		C: USER mrose
		S: +OK send PASS
		C: PASS tan staaf
		S: +OK mrose's maildrop has 1 messages (21 octets)
		C: RETR 1
		S: +OK 21 octets
		S: Subject: x
		S:
		S: ..no end
		S: .
		C: TOP 1 5
		S: +OK top of message follows
		S: Subject: x
		S:
		S: ..no end
		S: .`)
}

// tlsDialer lets go-pop3 use a certificate authority of one's own.
type tlsDialer struct{ config *tls.Config }

func (d tlsDialer) Dial(network, address string) (net.Conn, error) {
	return tls.Dial(network, address, d.config)
}

func TestGoPOP3TakesAndDeletesTheSamples(t *testing.T) {
	w := start(t, Options{})
	host, port, err := net.SplitHostPort(w.POP3.Address)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := number(port)
	client := pop3.New(pop3.Opt{Host: host, Port: number, Dialer: tlsDialer{trusting(t, w)}})
	open := func(user, password string) (*pop3.Conn, error) {
		c, err := client.NewConn()
		if err != nil {
			t.Fatal(err)
		}
		return c, c.Auth(user, password)
	}

	if _, err := open(w.POP3.User, w.IMAP.Password); err == nil || !strings.Contains(err.Error(), "[AUTH]") {
		t.Errorf("a wrong password gave %v", err)
	}
	c, err := open(w.POP3.User, w.POP3.Password)
	if err != nil {
		t.Fatal(err)
	}
	uids, err := c.Uidl(0)
	if err != nil || len(uids) != len(pop3Samples) {
		t.Fatalf("UIDL gave %v, %v", uids, err)
	}
	for i, name := range pop3Samples {
		raw, _, err := sample(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.RetrRaw(i + 1)
		if err != nil || !bytes.Equal(got.Bytes(), raw) {
			t.Errorf("%s came as %q, %v", name, got, err)
		}
		sizes, err := c.List(i + 1)
		if err != nil || sizes[0].Size != len(raw) {
			t.Errorf("LIST %d gave %v, %v, want %d octets", i+1, sizes, err, len(raw))
		}
	}
	if _, err := open(w.POP3.User, w.POP3.Password); err == nil || !strings.Contains(err.Error(), "[IN-USE]") {
		t.Errorf("a second session gave %v", err)
	}
	if err := c.Dele(1, 3); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	c, err = open(w.POP3.User, w.POP3.Password)
	if err != nil {
		t.Fatal(err)
	}
	left, err := c.Uidl(0)
	if err != nil || len(left) != 1 || left[0].UID != uids[1].UID {
		t.Errorf("after QUIT UIDL gave %v, %v, want only %q", left, err, uids[1].UID)
	}
	c.Quit()
}
