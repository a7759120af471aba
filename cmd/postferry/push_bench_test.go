package main_test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// pushes is how many mails arrive one by one.
const pushes = 200

// BenchmarkPush measures, with a real Dovecot and IDLE, how long a mail takes
// from the server's word that it is there (EXISTS) to the webhook's receiver,
// durable store and all. Dovecot itself may hold its word back for half a second
// after the mail is in the mailbox; that is not counted.
func BenchmarkPush(b *testing.B) {
	w := newWorld(b)
	tap := newTap(b, w.dovecot.IMAPAddr())
	w.write("mailboxes:\n" + w.box("inbox", "imap", ada, "after: delete", "insecure: true", "server: imap://"+tap.address, `schedule: "@every 1h"`) +
		"\nsinks:\n" + w.sink("app", w.receiver.URL))
	mails := mailtest.Mix(pushes+1, 3)
	p := w.start("run", "--log-level", "warn")
	var took []time.Duration
	for b.Loop() {
		for i, raw := range mails {
			n := w.receiver.Count()
			w.dovecot.Append(b, ada, "INBOX", raw)
			if err := w.receiver.WaitRequests(b.Context(), n+1); err != nil {
				b.Fatal(err)
			}
			if at := w.receiver.Requests()[n].At; i > 0 { // the first comes by the first poll
				took = append(took, at.Sub(tap.last()))
			}
		}
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.Logf("EXISTS to webhook, %d mails: p50 %.1f ms, p99 %.1f ms", len(took), at(0.5), at(0.99))
	p.Kill()
}

// tap is a proxy that notes when the server last said EXISTS.
type tap struct {
	address string
	mu      sync.Mutex
	at      time.Time
}

func newTap(t testing.TB, server string) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &tap{address: ln.Addr().String()}
	var work sync.WaitGroup
	var open []net.Conn
	work.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			x.mu.Lock()
			open = append(open, client, upstream)
			x.mu.Unlock()
			work.Go(func() { _, _ = io.Copy(upstream, client); upstream.Close() })
			work.Go(func() { x.listen(client, upstream); client.Close() })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		x.mu.Lock()
		for _, c := range open {
			c.Close()
		}
		x.mu.Unlock()
		work.Wait()
	})
	return x
}

// listen passes on what the server says.
func (x *tap) listen(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if bytes.Contains(buf[:n], []byte(" EXISTS\r\n")) {
			x.mu.Lock()
			x.at = time.Now()
			x.mu.Unlock()
		}
		if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (x *tap) last() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.at
}
