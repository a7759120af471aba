//go:build !race

// Memory is measured here, of which the race detector needs some too.

package pop3

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/heap"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
)

// metered is a connection whose octets are counted.
type metered struct {
	connection
	m *heap.Meter
}

func (c metered) Read(p []byte) (int, error) {
	n, err := c.connection.Read(p)
	c.m.Count(n)
	return n, err
}

func (c metered) Upgrade(ctx context.Context, config *tls.Config, b ...byte) error {
	return c.connection.Upgrade(ctx, config, b...)
}

// A server that floods the session costs no more than 64 MB, and the session ends with
// an error that says why.
func TestAHostileServerIsHeldInLittleMemory(t *testing.T) {
	const mostHeld = 64 << 20
	endless := pop3d.Endless
	flood := strings.Repeat("x", 64<<10)
	lines := func(format string, n int) func(io.Writer) {
		return func(w io.Writer) {
			for i := range n {
				fmt.Fprintf(w, format, i+1)
			}
		}
	}
	for _, c := range []struct {
		fact   string
		script pop3d.Script
		says   string
		least  int64 // octets that have to come for the test to be one
	}{
		{"a greeting without an end", pop3d.Script{"": endless("+OK ", "x")}, "more than 4096 octets", 4 << 10},
		{"greetings without an end", pop3d.Script{"": endless("", "+OK\r\n")}, "before it was asked", 10},
		{"capabilities without an end", pop3d.Script{"CAPA": endless("+OK\r\n", "X-"+flood[:4000]+"\r\n")}, "more than it has counted", 3 << 20},
		{"a capability without an end", pop3d.Script{"CAPA": endless("+OK\r\n", "x")}, "more than 4096 octets", 4 << 10},
		{"a refusal without an end", pop3d.Script{"PASS": endless("-ERR ", "x")}, "more than 4096 octets", 4 << 10},
		{"a challenge without an end", pop3d.Script{"PASS": endless("+ ", "eHh4")}, "more than 4096 octets", 4 << 10},
		{"a STAT without an end", pop3d.Script{"STAT": endless("+OK 2 4", "4")}, "more than 4096 octets", 4 << 10},
		{"ten million mails", pop3d.Script{"STAT": pop3d.Say("+OK 10000000 10000000\r\n"), "LIST": pop3d.Stream("+OK\r\n", lines("%d 1\r\n", 10_000_000))}, "at most", 10},
		{"ten million lines of LIST for two mails", pop3d.Script{"LIST": pop3d.Stream("+OK\r\n", lines("%d 1\r\n", 10_000_000))}, "more than it has counted", 20},
		{"ten million lines of UIDL for two mails", pop3d.Script{"UIDL": pop3d.Stream("+OK\r\n", lines("%d u\r\n", 10_000_000))}, "more than it has counted", 20},
		{"a hundred thousand unique-ids of 4,000 characters, all alike", pop3d.Script{
			"STAT": pop3d.Say("+OK 100000 100000\r\n"), "LIST": pop3d.Stream("+OK\r\n", func(w io.Writer) { lines("%d 1\r\n", 100_000)(w); io.WriteString(w, ".\r\n") }),
			"UIDL": pop3d.Stream("+OK\r\n", func(w io.Writer) { lines("%d "+flood[:4000]+"\r\n", 100_000)(w); io.WriteString(w, ".\r\n") }),
		}, "no such message", 380 << 20},
		{"a mail without an end", pop3d.Script{"RETR 1": endless("+OK\r\n", flood[:998]+"\r\n")}, "larger than", 64 << 20},
		{"a line of a mail without an end", pop3d.Script{"RETR 1": endless("+OK\r\n", "x")}, "larger than", 64 << 20},
		{"replies nobody asked for without an end", pop3d.Script{"RETR 2": endless("", "+OK\r\n.\r\n")}, "after the end of a mail", 10},
		{"a DELE without an end", pop3d.Script{"DELE 1": endless("+OK ", "x")}, "more than 4096 octets", 4 << 10},
		{"a farewell without an end", pop3d.Script{"QUIT": endless("+OK ", "x")}, "more than 4096 octets", 4 << 10},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := pop3d.Start(t, c.script, two...)
			source := client(t, s, dial.Plain, func(o *Options) { o.MaxOctets = 64 << 20 })
			connect := source.connect
			m := heap.New()
			source.connect = func(ctx context.Context) (connection, error) {
				conn, err := connect(ctx)
				return metered{conn, m}, err
			}
			_, err := visitWith(t.Context(), source, io.Discard)
			held := m.Most()
			if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 4*dial.MaxText {
				t.Errorf("error of %d octets: %.200v, want %q in it", len(fmt.Sprint(err)), err, c.says)
			}
			if held > mostHeld || m.Octets() < c.least {
				t.Errorf("%d KB are held of %d KB that came, want %d MB at most, of %d KB", held>>10, m.Octets()>>10, mostHeld>>20, c.least>>10)
			}
			t.Logf("%d KB held of %d KB, %v", held>>10, m.Octets()>>10, err)
		})
	}
}

// A maildrop of 100,000 mails is listed in less than 100 MB of heap, and what is kept
// of it from one session to the next is next to nothing.
func TestAListingOfManyMailsTakesLittleMemory(t *testing.T) {
	mails := make([][]byte, 100_000)
	for i := range mails {
		mails[i] = two[0]
	}
	s := pop3d.Start(t, nil, mails...)
	source := client(t, s, dial.Plain, nil)
	before := inUse()
	x, err := source.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil || len(l.Refs) != len(mails) {
		t.Fatalf("%d mails listed, %v", len(l.Refs), err)
	}
	if used := inUse() - before; used > 100<<20 {
		t.Errorf("the listing takes %d MB", used>>20)
	}
	runtime.KeepAlive(l)
	x.(*session).Conclude("INBOX")
	x.Close()
	l.Refs, x = nil, nil
	if kept := inUse() - before; kept > 10<<20 {
		t.Errorf("%d MB are kept between sessions", kept>>20)
	}
}

// inUse is what is in use once the garbage is gone.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
