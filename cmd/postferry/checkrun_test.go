package main_test

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// crowd is a POP3 server that greets nobody before so many clients are there at
// once.
type crowd struct {
	mu       sync.Mutex
	now, top int
	all      chan struct{} // closed when enough are there
	done     sync.WaitGroup
}

func gather(t *testing.T, enough int) (*crowd, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &crowd{all: make(chan struct{})}
	w.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.mu.Lock()
			w.now++
			if w.top = max(w.top, w.now); w.now == enough && !closed(w.all) {
				close(w.all)
			}
			w.mu.Unlock()
			w.done.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); w.done.Wait() })
	return w, l.Addr().String()
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (w *crowd) serve(c net.Conn) {
	defer func() {
		w.mu.Lock()
		w.now-- // before the client can know
		w.mu.Unlock()
		c.Close()
	}()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	<-w.all
	fmt.Fprint(c, "+OK\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		switch word, _, _ := strings.Cut(lines.Text(), " "); word {
		case "CAPA":
			fmt.Fprint(c, "+OK\r\nUIDL\r\n.\r\n")
		case "STAT":
			fmt.Fprint(c, "+OK 0 0\r\n")
		case "QUIT":
			return
		default:
			fmt.Fprint(c, "+OK\r\n")
		}
	}
}

func TestCheckLooksAtEightTargetsAtATimeAndTellsThemInOrder(t *testing.T) {
	// Configuration and store are done at once, so that eight mailboxes remain.
	const enough, boxes = 8, 20
	server, address := gather(t, enough)
	w := &world{t: t, binary: mailtest.BuildBinary(t), dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "postferry.yaml")
	var body strings.Builder
	var want []string
	for i := range boxes {
		name := fmt.Sprintf("box-%d", (i*7)%boxes)
		want = append(want, name)
		fmt.Fprintf(&body, "  %s: {server: \"pop3://%s\", insecure: true, username: u%d, password: a secret, deliver: [out]}\n", name, address, i)
	}
	w.write("mailboxes:\n" + body.String() + "sinks:\n  out: {type: file, path: \"-\"}\n")
	code, out, stderr := w.run("check")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, out, stderr)
	}
	var got []string
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, "mailbox "); ok {
			name, _, _ = strings.Cut(name, " ")
			got = append(got, name)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told in the order %q, want %q", got, want)
	}
	if server.top != enough {
		t.Errorf("%d mailboxes were looked at at once, want %d", server.top, enough)
	}
}
