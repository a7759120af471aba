package dial_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/dial"
)

func plain(t *testing.T, limits dial.Limits, handle func(net.Conn)) *dial.Conn {
	t.Helper()
	d := &dial.Dialer{Server: dial.Server{Scheme: "imap", Host: "127.0.0.1", Port: serve(t, handle), Mode: dial.Plain}, Limits: limits}
	c, err := d.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// silent keeps the connection until the client goes away.
func silent(c net.Conn) { io.Copy(io.Discard, c) }

func TestConnectErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, closed, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		fact, host, port string
		ctx              context.Context
		stage, says      string
		hint             string
	}{
		{"nothing listens", "127.0.0.1", closed, context.Background(), "tcp", "refused", "nothing listens there"},
		{"no such name", "no-such-host.invalid", "993", context.Background(), "dns", "looking up no-such-host.invalid", "check"},
		{"cancelled", "127.0.0.1", closed, cancelled, "tcp", "cancel", ""},
	}
	for _, test := range tests {
		t.Run(test.fact, func(t *testing.T) {
			d := &dial.Dialer{Server: dial.Server{Scheme: "imap", Host: test.host, Port: test.port, Mode: dial.Plain}, ConnectTimeout: 5 * time.Second}
			_, err := d.Dial(test.ctx)
			if test.fact == "no such name" {
				var e *dial.Error
				if !errors.As(err, &e) || e.Stage != "dns" || e.Hint == "" || !strings.Contains(e.Error(), test.says) {
					t.Fatalf("error %v, want stage dns", err)
				}
				return
			}
			wantError(t, err, test.stage, test.says, test.hint)
		})
	}
}

func TestHandshakeWithSilentServerEndsAtTheTimeout(t *testing.T) {
	d := &dial.Dialer{Server: dial.Server{Scheme: "imaps", Host: "127.0.0.1", Port: serve(t, silent), Mode: dial.Implicit}, ConnectTimeout: 50 * time.Millisecond}
	start := time.Now()
	_, err := d.Dial(context.Background())
	wantError(t, err, "tls", "deadline", "said nothing")
	if dial.Untrusted(err) {
		t.Error("a timeout counts as untrusted")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestImplicitTLSWithClearTextServer(t *testing.T) {
	port := serve(t, func(c net.Conn) { io.WriteString(c, "* OK IMAP4rev1 ready\r\n"); silent(c) })
	_, err := connect(t, port, dial.Implicit, dial.TLS{})
	wantError(t, err, "tls", "does not look like a TLS handshake", "use imap:// for an upgrade in band")
}

func TestUpgrade(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(nil)
	port := serve(t, func(c net.Conn) {
		io.WriteString(c, "ready\n")
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
		if s.Handshake() == nil {
			io.WriteString(s, "safe\n")
			silent(s)
		}
	})
	config, err := dial.TLS{CAFile: ca.File}.Config("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(t, port, dial.StartTLS, dial.TLS{CAFile: ca.File})
	if err != nil {
		t.Fatal(err)
	}
	if got := readLine(t, c); got != "ready\n" {
		t.Fatalf("greeting %q", got)
	}
	if _, ok := c.TLS(); ok {
		t.Fatal("TLS before the upgrade")
	}
	if err := c.Upgrade(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	if got := readLine(t, c); got != "safe\n" {
		t.Fatalf("after the upgrade %q", got)
	}
	wantError(t, c.Upgrade(context.Background(), config), "tls", "TLS already", "")
}

func readLine(t *testing.T, c io.Reader) string {
	t.Helper()
	var line []byte
	for one := make([]byte, 1); len(line) == 0 || line[len(line)-1] != '\n'; {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		line = append(line, one[0])
	}
	return string(line)
}

func TestUpgradeRefusesBufferedOctets(t *testing.T) {
	c := plain(t, dial.Limits{}, silent)
	err := c.Upgrade(context.Background(), &tls.Config{ServerName: "127.0.0.1"}, []byte("+OK injected\r\n")...)
	wantError(t, err, "tls", "14 octets in clear text", "injecting")
	if _, err := c.Write([]byte("PASS secret\r\n")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after the refusal: %v, want a closed connection", err)
	}
}

func TestUpgradeRefusesOctetsThatArriveInClear(t *testing.T) {
	c := plain(t, dial.Limits{}, func(c net.Conn) { io.WriteString(c, "+OK injected\r\n"); silent(c) })
	err := c.Upgrade(context.Background(), &tls.Config{ServerName: "127.0.0.1"})
	wantError(t, err, "tls", "does not look like a TLS handshake", "does not speak TLS")
}

func TestReadTimeoutIsStickyForBothDirections(t *testing.T) {
	c := plain(t, dial.Limits{Read: 20 * time.Millisecond}, silent)
	_, first := c.Read(make([]byte, 1))
	wantError(t, first, "read", "no answer within 20ms", "")
	var timeout net.Error
	if !errors.As(first, &timeout) || !timeout.Timeout() || !errors.Is(first, os.ErrDeadlineExceeded) {
		t.Errorf("%v is not a timeout", first)
	}
	c.SetReadTimeout(time.Hour)
	if _, err := c.Read(make([]byte, 1)); err != first {
		t.Errorf("second read: %v, want the first error", err)
	}
	if _, err := c.Write([]byte("x")); err != first {
		t.Errorf("write: %v, want the first error", err)
	}
}

func TestWriteTimeout(t *testing.T) {
	release := make(chan struct{})
	c := plain(t, dial.Limits{Write: 50 * time.Millisecond}, func(net.Conn) { <-release })
	t.Cleanup(func() { close(release) })
	var err error
	for block := make([]byte, 1<<20); err == nil; {
		_, err = c.Write(block)
	}
	wantError(t, err, "write", "nothing was accepted within 50ms", "")
}

func TestRollingDeadlineStartsAnewWithEachRead(t *testing.T) {
	const step = 100 * time.Millisecond
	c := plain(t, dial.Limits{Read: 3 * step}, func(c net.Conn) {
		for range 6 {
			time.Sleep(step)
			c.Write([]byte("x"))
		}
	})
	if n, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Errorf("after %d octets: %v", n, err)
	}
}

func TestSetReadDeadlineBoundsATrickle(t *testing.T) {
	c := plain(t, dial.Limits{Read: time.Minute}, func(c net.Conn) {
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := io.Copy(io.Discard, c)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
		t.Errorf("read %d octets, then %v; want some and a timeout", n, err)
	}
}

func TestSetReadTimeoutReachesABlockedRead(t *testing.T) {
	c := plain(t, dial.Limits{Read: time.Hour}, silent)
	failed := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		failed <- err
	}()
	for range 3 { // before, during or after the read has begun: each must end it
		c.SetReadTimeout(10 * time.Millisecond)
	}
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read ended with %v", err)
	}
}

func TestBudget(t *testing.T) {
	c := plain(t, dial.Limits{Octets: 10}, func(c net.Conn) { io.WriteString(c, strings.Repeat("x", 100)); silent(c) })
	n, err := io.Copy(io.Discard, c)
	if n != 10 || !errors.Is(err, dial.ErrBudget) {
		t.Fatalf("read %d, %v; want 10 and ErrBudget", n, err)
	}
	c.SetBudget(1000)
	if _, again := c.Read(make([]byte, 1)); !errors.Is(again, dial.ErrBudget) {
		t.Errorf("after the failure: %v, want it to stick", again)
	}
	if in, out := c.Octets(); in != 10 || out != 0 {
		t.Errorf("Octets() = %d, %d", in, out)
	}
}

func TestSetBudgetCountsFromNow(t *testing.T) {
	c := plain(t, dial.Limits{Octets: 10}, func(c net.Conn) { io.WriteString(c, strings.Repeat("x", 100)); silent(c) })
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	c.SetBudget(5)
	if n, err := io.Copy(io.Discard, c); n != 5 || !errors.Is(err, dial.ErrBudget) {
		t.Errorf("read %d, %v; want 5 and ErrBudget", n, err)
	}
}

func TestCloseEndsABlockedRead(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(nil)
	port := serve(t, func(c net.Conn) {
		if s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}); s.Handshake() == nil {
			silent(s)
		}
	})
	c, err := connect(t, port, dial.Implicit, dial.TLS{CAFile: ca.File})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	go cancel()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read ended with %v, want net.ErrClosed", err)
	}
	c.Close() // a second time
}

func TestServerThatHangsUpGivesEOF(t *testing.T) {
	c := plain(t, dial.Limits{}, func(net.Conn) {})
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want io.EOF", err)
	}
}
