package demo

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// plain opens a bare connection and reads the first line, if any is wanted.
func plain(t *testing.T, dial func() (net.Conn, error), greeting string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	if greeting != "" {
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, greeting) {
			t.Fatalf("greeted with %q, %v", line, err)
		}
	}
	return c, r
}

func TestCloseEndsEverythingInWhateverState(t *testing.T) {
	before := goleak.IgnoreCurrent()
	w, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	encrypted := func(address string) func() (net.Conn, error) {
		return func() (net.Conn, error) { return tls.Dial("tcp", address, trusting(t, w)) }
	}
	clear := func(address string) func() (net.Conn, error) {
		return func() (net.Conn, error) { return net.Dial("tcp", address) }
	}
	hook := strings.TrimSuffix(strings.TrimPrefix(w.HookURL, "http://"), hookPath)

	imap, r := plain(t, encrypted(w.IMAP.Address), "* OK")
	for _, say := range []string{fmt.Sprintf("a LOGIN %s %s", w.IMAP.User, w.IMAP.Password), "b SELECT INBOX", "c IDLE"} {
		fmt.Fprintf(imap, "%s\r\n", say)
		for line := ""; !strings.HasPrefix(line, say[:2]) && !strings.HasPrefix(line, "+"); {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	pop3, r := plain(t, encrypted(w.POP3.Address), "+OK")
	fmt.Fprintf(pop3, "USER %s\r\nPASS %s\r\nDELE 1\r\n", w.POP3.User, w.POP3.Password)
	for range 3 {
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("POP3 said %q, %v", line, err)
		}
	}
	smtp, r := plain(t, clear(w.SMTP), "220")
	fmt.Fprintf(smtp, "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<x@example.com>\r\nDATA\r\n")
	for range 4 {
		if line, err := r.ReadString('\n'); err != nil || line[0] > '3' {
			t.Fatalf("SMTP said %q, %v", line, err)
		}
	}
	fmt.Fprintf(smtp, "half a mail")
	http, _ := plain(t, clear(hook), "")
	fmt.Fprintf(http, "POST /mail HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	for _, address := range []string{w.IMAP.Address, w.POP3.Address, w.SMTP, hook} {
		plain(t, clear(address), "") // says nothing, and makes no TLS handshake
	}

	w.Close()
	goleak.VerifyNone(t, before)
	for _, address := range []string{w.IMAP.Address, w.POP3.Address, w.SMTP, hook} {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			t.Errorf("%s still listens", address)
		}
	}
	w.Close() // again: no harm
}

func TestCloseWaitsForTheEventInHand(t *testing.T) {
	inHand, goOn, finished := make(chan bool), make(chan bool), false
	w := start(t, Options{Receive: func(Event) error {
		inHand <- true
		<-goOn
		finished = true
		return nil
	}})
	go func() {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := c.Do(signed(t, w.HookURL, w.HookSecret.Reveal(), "{}", time.Now())); err == nil {
			resp.Body.Close()
		}
	}()
	await(t, inHand)
	closed := make(chan bool)
	go func() { w.Close(); close(closed) }()
	for deadline := time.Now().Add(20 * time.Second); ; { // until it is under way
		c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(w.HookURL, "http://"), hookPath))
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("the receiver still listens")
		}
	}
	select {
	case <-closed:
		t.Fatal("closed while an event was in hand")
	default:
	}
	close(goOn)
	await(t, closed)
	if !finished {
		t.Error("closed before the event was handed on")
	}
}

func TestTooManyConnectionsAreClosed(t *testing.T) {
	w := start(t, Options{})
	dial := func() (net.Conn, error) { return net.Dial("tcp", w.SMTP) }
	var last net.Conn
	for range maxConns {
		last, _ = plain(t, dial, "220")
	}
	_, r := plain(t, dial, "")
	if line, err := r.ReadString('\n'); err == nil {
		t.Errorf("one connection too many was greeted with %q", line)
	}
	fmt.Fprintf(last, "QUIT\r\n")
	for buf := make([]byte, 100); ; {
		if _, err := last.Read(buf); err != nil {
			break
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(deadline)
		line, err := bufio.NewReader(c).ReadString('\n')
		c.Close()
		if err == nil && strings.HasPrefix(line, "220") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no connection is taken after one has ended")
		}
	}
}

func TestNewConnectionsHaveADeadline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(l)
	defer g.shut()
	c := &recorded{Conn: func() net.Conn { a, b := net.Pipe(); b.Close(); return a }()}
	admitted := g.admit(c)
	if left := time.Until(c.deadline); left < patience-10*time.Second || left > patience {
		t.Errorf("a new connection has %v", left)
	}
	admitted.Close()
	if len(g.conns) != 0 {
		t.Error("a connection that is closed is still counted")
	}
}

// recorded keeps the deadline it is given.
type recorded struct {
	net.Conn
	deadline time.Time
}

func (c *recorded) SetDeadline(t time.Time) error { c.deadline = t; return nil }

func TestStartSaysWhichPortIsTaken(t *testing.T) {
	before := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, err := Start(t.Context(), Options{SMTPPort: l.Addr().(*net.TCPAddr).Port})
	if err == nil {
		w.Close()
		t.Fatal("it started on a port that is taken")
	}
	if !strings.Contains(err.Error(), "listen for SMTP") {
		t.Errorf("it said %q", err)
	}
	goleak.VerifyNone(t, before)
}

func TestEachWorldHasSecretsOfItsOwn(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	seen := map[string]bool{}
	for _, s := range []string{a.IMAP.Password, a.POP3.Password, a.HookSecret.Reveal(), b.IMAP.Password, b.POP3.Password, b.HookSecret.Reveal(), string(a.CAPEM), string(b.CAPEM)} {
		if len(s) < 26 || seen[s] {
			t.Errorf("%q is short or not new", s)
		}
		seen[s] = true
	}
}
