package main_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// The receivers of examples/receivers take what postferry sends, under either
// secret of a rotation, and nothing else.
func TestReceiversOfTheExamplesVerifyWhatTheProgramSends(t *testing.T) {
	root := mailtest.ModuleRoot(t)
	dir, built := filepath.Join(root, "examples", "receivers"), filepath.Join(t.TempDir(), "receiver")
	build := exec.Command("go", "build", "-o", built, "./examples/receivers/go")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	countLines(t, filepath.Join(dir, "go", "main.go"))
	const other = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	w := newWorld(t)
	w.fill([][]byte{[]byte(invoiceMail), []byte("Subject: two\r\n\r\n\xff\xfe \xe2\x98\x83\r\n")})
	addresses, named := map[string]string{}, ""
	for name, command := range map[string][]string{
		"go": {built}, "python": {"python3", filepath.Join(dir, "python", "receiver.py")}, "node": {"node", filepath.Join(dir, "node", "receiver.js")},
	} {
		address := freeAddress(t)
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if source := command[len(command)-1]; name != "go" {
			countLines(t, source)
		}
		path, err := exec.LookPath(command[0])
		if err != nil {
			t.Fatal(err)
		}
		mailtest.StartProc(t, mailtest.Command{Path: path, Args: command[1:], Dir: t.TempDir(), Env: []string{"PORT=" + port, "HOOK_SECRET=" + hookSecret}})
		w.await("the receiver in "+name, func() bool {
			c, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		if p := mailtest.StartProc(t, mailtest.Command{Path: path, Args: command[1:], Dir: t.TempDir(), Env: []string{"PORT=0", "HOOK_SECRET="}}); p.Wait(t, time.Minute) == 0 {
			t.Errorf("%s: everybody knows an empty secret, and it is taken", name)
		}
		addresses[name] = address
		named += w.sink(name, "http://"+address+"/", "secrets: ["+other+"]")
	}
	// The sink app sees what the others get.
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "deliver: [app, go, python, node]") + "\nsinks:\n" + w.sink("app", w.receiver.URL) + named)
	w.once(0)
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			q := w.receiver.Requests()[0]
			send := func(change func(http.Header, []byte) []byte) int {
				t.Helper()
				h := q.Header.Clone()
				body := change(h, bytes.Clone(q.Body))
				r, err := http.NewRequest(http.MethodPost, "http://"+address+"/", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
					r.Header[name] = h[name]
				}
				client := &http.Client{Timeout: time.Minute}
				defer client.CloseIdleConnections()
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				return resp.StatusCode
			}
			for what, c := range map[string]struct {
				change func(h http.Header, body []byte) []byte
				want   int
			}{
				"as it is": {func(_ http.Header, b []byte) []byte { return b }, 200},
				"with a signature by somebody else first": {func(h http.Header, b []byte) []byte {
					h.Set("Webhook-Signature", "v1,AAAA v1a,BBBB "+h.Get("Webhook-Signature"))
					return b
				}, 200},
				"with another octet": {func(_ http.Header, b []byte) []byte { b[len(b)/2] ^= 1; return b }, 401},
				"with another id":    {func(h http.Header, b []byte) []byte { h.Set("Webhook-Id", "msg_x"); return b }, 401},
				"at another time":    {func(h http.Header, b []byte) []byte { h.Set("Webhook-Timestamp", "1"); return b }, 401},
				"with a time that is none": {func(h http.Header, b []byte) []byte {
					h.Set("Webhook-Timestamp", "soon")
					return b
				}, 401},
				"with half a signature": {func(h http.Header, b []byte) []byte {
					h.Set("Webhook-Signature", strings.TrimSuffix(h.Get("Webhook-Signature"), "="))
					return b
				}, 401},
				"without a signature": {func(h http.Header, b []byte) []byte { h.Del("Webhook-Signature"); return b }, 401},
			} {
				if got := send(c.change); got != c.want {
					t.Errorf("%s: %d", what, got)
				}
			}
			endless := &zeros{}
			endless.left.Store(1 << 30)
			r, err := http.NewRequest(http.MethodPost, "http://"+address+"/", endless)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = endless.left.Load()
			client := &http.Client{Timeout: time.Minute}
			defer client.CloseIdleConnections()
			resp, err := client.Do(r)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode < 400 {
					t.Errorf("a request without end: %d", resp.StatusCode)
				}
			}
			if given := 1<<30 - endless.left.Load(); given > 300<<20 {
				t.Errorf("of a request without end %d octets are read", given)
			}
		})
	}
}

// zeros are so many of them. The client may read on while it has its answer.
type zeros struct{ left atomic.Int64 }

func (z *zeros) Read(p []byte) (int, error) {
	left := z.left.Load()
	if left <= 0 {
		return 0, io.EOF
	}
	clear(p)
	n := min(int64(len(p)), left)
	z.left.Store(left - n)
	return int(n), nil
}

// countLines holds a receiver to what a reader takes in at a glance.
func countLines(t *testing.T, source string) {
	t.Helper()
	text, err := os.ReadFile(source)
	if n := bytes.Count(text, []byte("\n")); err != nil || n == 0 || n >= 40 {
		t.Errorf("%s has %d lines: %v", source, n, err)
	}
}
