package delay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onLine carries what send writes to what receive reads.
func onLine(t *testing.T, l line, send, receive func(net.Conn)) error {
	t.Helper()
	a, src := net.Pipe()
	dst, b := net.Pipe()
	var work sync.WaitGroup
	var err error
	work.Go(func() {
		err = l.carry(t.Context(), dst, src)
		src.Close()
		dst.Close()
	})
	work.Go(func() { send(a); a.Close() })
	receive(b)
	b.Close()
	work.Wait()
	return err
}

func TestOctetsComeLateAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var got bytes.Buffer
		var ended time.Duration
		err := onLine(t, line{delay: 10 * time.Millisecond}, func(c net.Conn) {
			for i := range 100 { // all of them are on the line at once
				fmt.Fprintf(c, "%d ", i)
			}
			time.Sleep(5 * time.Millisecond)
			c.Write([]byte("last"))
		}, func(c net.Conn) {
			buf := make([]byte, 10)
			n, _ := c.Read(buf)
			got.Write(buf[:n])
			if first := time.Since(began); first != 10*time.Millisecond {
				t.Errorf("the first octets came after %v, want 10ms", first)
			}
			io.Copy(&got, c)
			ended = time.Since(began)
		})
		if err != nil || ended != 15*time.Millisecond {
			t.Errorf("it ended after %v, want 15ms, %v", ended, err)
		}
		var want bytes.Buffer
		for i := range 100 {
			fmt.Fprintf(&want, "%d ", i)
		}
		if want.WriteString("last"); got.String() != want.String() {
			t.Errorf("%q came", got.String())
		}
	})
}

func TestBandwidthIsKept(t *testing.T) {
	for _, c := range []struct {
		octets, bandwidth int64
		delay, want       time.Duration
	}{
		{1_000_000, 1_000_000, 0, time.Second},
		{1_000_000, 500_000, 10 * time.Millisecond, 2*time.Second + 10*time.Millisecond},
		{100, 10, 0, 10 * time.Second},
		{1_000_000, 0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var n int64
			err := onLine(t, line{delay: c.delay, bandwidth: c.bandwidth},
				func(a net.Conn) { a.Write(make([]byte, c.octets)) },
				func(b net.Conn) { n, _ = io.Copy(io.Discard, b) })
			if took := time.Since(began).Round(time.Millisecond); took != c.want || n != c.octets || err != nil {
				t.Errorf("%d octets at %d a second took %v, want %v, %v", n, c.bandwidth, took, c.want, err)
			}
		})
	}
}

func TestLineIsCutAtTheOctet(t *testing.T) {
	for _, cut := range []int64{1, 7, readSize, readSize + 1, 99_999} {
		var got []byte
		sent := bytes.Repeat([]byte("0123456789"), 10_000)
		err := onLine(t, line{cut: cut}, func(c net.Conn) { c.Write(sent) }, func(c net.Conn) { got, _ = io.ReadAll(c) })
		if !errors.Is(err, errCut) || !bytes.Equal(got, sent[:cut]) {
			t.Errorf("cut at %d, %d octets came, %v", cut, len(got), err)
		}
	}
	var got []byte
	err := onLine(t, line{cut: 5}, func(c net.Conn) { c.Write([]byte("1234")) }, func(c net.Conn) { got, _ = io.ReadAll(c) })
	if err != nil || string(got) != "1234" {
		t.Errorf("a line that ends before its cut gave %q, %v", got, err)
	}
}

func TestLineWhoseReceiverHasGoneEnds(t *testing.T) {
	err := onLine(t, line{}, func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	}, func(c net.Conn) { c.Close() })
	if err == nil {
		t.Error("nothing was said")
	}
}

// echo is a server that sends back what comes, and ends when its client does.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { defer c.Close(); io.Copy(c, c) })
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().String()
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func TestProxyPassesBothWaysAndEndsInOrder(t *testing.T) {
	p := Start(t, echo(t), Options{RoundTrip: 20 * time.Millisecond})
	began := time.Now()
	c := dial(t, p.Addr)
	sent := bytes.Repeat([]byte("octets "), 100_000)
	go func() { c.Write(sent); c.CloseWrite() }()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d octets came back, %v", len(got), len(sent), err)
	}
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("the round trip took %v", took)
	}
	if p.Accepted() != 1 {
		t.Errorf("%d connections came", p.Accepted())
	}
}

func TestProxyCutsEitherWay(t *testing.T) {
	target := echo(t)
	sent := bytes.Repeat([]byte("octets "), 100_000)
	for _, o := range []Options{{CutDown: 100_001}, {CutUp: 100_001, CutDown: 1 << 40}} {
		p := Start(t, target, o)
		c := dial(t, p.Addr)
		written := make(chan struct{})
		go func() { defer close(written); c.Write(sent); c.CloseWrite() }()
		got, err := io.ReadAll(c)
		c.Close()
		<-written
		if o.CutUp > 0 {
			if len(got) > 100_001 || !errors.Is(err, syscall.ECONNRESET) && err != nil {
				t.Errorf("%d octets came back of 100001 that were passed, %v", len(got), err)
			}
		} else if !bytes.Equal(got, sent[:100_001]) || err != nil {
			t.Errorf("cut after 100001 octets, %d came, %v", len(got), err)
		}
		p.Change(Options{})
		again := dial(t, p.Addr)
		again.Write([]byte("whole"))
		again.CloseWrite()
		if got, err := io.ReadAll(again); string(got) != "whole" || err != nil {
			t.Errorf("after the change %q came, %v", got, err)
		}
	}
}

// What goes to the server is seen by the server alone.
func TestProxyCutUpReachesTheServerExactly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := Start(t, l.Addr().String(), Options{CutUp: 50_000, RoundTrip: 2 * time.Millisecond})
	c := dial(t, p.Addr)
	go c.Write(make([]byte, 60_000))
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := io.Copy(io.Discard, server); n != 50_000 || err != nil {
		t.Errorf("%d octets reached the server, %v", n, err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v, want a reset", err)
	}
}

func TestProxyWithoutAServerClosesTheConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := l.Addr().String()
	l.Close()
	p := Start(t, target, Options{})
	if n, err := dial(t, p.Addr).Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d octets, %v", n, err)
	}
}

func TestCloseEndsConnectionsInWhateverState(t *testing.T) {
	before := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := Start(t, l.Addr().String(), Options{RoundTrip: time.Hour, Bandwidth: 10})
	idle, waiting := dial(t, p.Addr), dial(t, p.Addr)
	waiting.Write(make([]byte, 1000))
	for range 2 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	p.Close()
	for _, c := range []net.Conn{idle, waiting} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection is still open")
		}
	}
	goleak.VerifyNone(t, before)
}

func BenchmarkRoundTripTime(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	})
	defer func() { l.Close(); work.Wait() }()
	p := Start(b, l.Addr().String(), Options{RoundTrip: 20 * time.Millisecond})
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 1)
	for b.Loop() {
		c.Write(buf)
		c.Read(buf)
	}
}
