// Package receivers holds the formats of mail services to receivers that were
// written by others for the services themselves: the requests a webhook sink makes
// are taken by their libraries and frameworks, each in a process of its own.
//
// It is a module of its own, since nothing else needs what it depends on, and
// `make receivers` runs it.
package receivers

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
	"github.com/postferry/postferry/sinks/webhook"
)

// receiver is a process that listens, and writes a line of JSON of each mail.
type receiver struct {
	address string
	lines   chan string
}

// start runs a program that writes its port first.
func start(t *testing.T, name string, args ...string) *receiver {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "NODE_PATH=/usr/share/nodejs:"+os.Getenv("NODE_PATH"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &receiver{lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(r.lines)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 128<<20)
		for lines.Scan() {
			r.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		cmd.Wait()
	})
	r.address = "127.0.0.1:" + r.next(t)
	return r
}

// next is the next line the receiver writes.
func (r *receiver) next(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-r.lines:
		if !ok {
			t.Fatal("the receiver ended")
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("the receiver says nothing")
	}
	return ""
}

// read reads the next line.
func (r *receiver) read(t *testing.T, into any) {
	t.Helper()
	line := r.next(t)
	if err := json.Unmarshal([]byte(line), into); err != nil {
		t.Fatalf("%v in %.500s", err, line)
	}
}

// sink makes a webhook sink of a configuration.
func sink(t *testing.T, url, settings string) *webhook.Sink {
	t.Helper()
	file := filepath.Join(t.TempDir(), "postferry.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nsinks:\n  app: {type: webhook, url: '"+url+"', timeout: 60s, "+settings+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load([]string{file}, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := cfg.Sinks[0]
	var o webhook.Options
	format, err := payload.Lookup(k.Format)
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Join(k.Section.Decode(&o), k.Section.Decode(format), cfg.Finish()); err != nil {
		t.Fatal(err)
	}
	s, err := webhook.New("app", o, payload.Renderer{Format: format, Options: payload.Options{Attachments: payload.Attachments(k.Attachments)}}, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// deliver posts the mail; false if it was not taken.
func deliver(t *testing.T, s *webhook.Sink, d *sinks.Delivery) bool {
	t.Helper()
	_, err := s.Deliver(t.Context(), d)
	if err != nil {
		t.Errorf("the receiver refuses %.300q: %v", raw(t, d), err)
	}
	return err == nil
}

// letter is a mail with two texts, an image of the HTML and two files.
func letter(t testing.TB) *sinks.Delivery {
	t.Helper()
	raw, err := os.ReadFile("../../../sinks/payload/testdata/letter.eml")
	if err != nil {
		t.Fatal(err)
	}
	return sinktest.Delivery(t, 1, string(raw))
}

// What of the letter every receiver has to see.
const (
	letterSubject = "Grüße from Ada"
	letterText    = "Grüße!\n\nOn 22 Nov 2026, Support wrote:\n> How are you?"
	letterHTML    = `<p>Grüße!<img src="cid:logo@customer.example"></p>`
	logoSHA256    = "4c4b6a3be1314ab86138bef4314dde022e600960d8689a2c8f8631802d20dab6" // sha256sum of 89504e470d0a1a0a
	greetSHA256   = "f83e039796c6453a10f5519e39fd113901572316a1a8ea07cb525d2801dfd074" // of "Grüße"
	pdfSHA256     = "38523c087796e5d5dd1cf9bad1fb026781a838dd9dd2cf8af58b9f6502a46778" // of "%PDF-"
)

// latin is a mail with octets that are not UTF-8: an ISO 8859-1 text in 8bit, and
// a file in binary.
const latin = "From: a@example.com\r\nTo: support@example.com\r\nDelivered-To: support@example.com\r\nMessage-ID: <latin@example.com>\r\nSubject: plain\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9\r\n" +
	"--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=x.bin\r\nContent-Transfer-Encoding: binary\r\n\r\n\xff\x00\xfe\r\n--b--\r\n"

const latinSHA256 = "af9ceddc9d8b08ac09e1994bfd20459b5e377425df7354dfce3501992828a5b7" // of its file

// hostile are mails each of which must be taken.
func hostile() []string {
	mails := sinktest.Hostile()
	for i := range mails {
		// Receivers bound a form field, as the services bound a mail.
		mails[i] = mails[i][:min(len(mails[i]), 500_000)]
	}
	attached := func(header string) string {
		return "From: a@example.com\r\nTo: b@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n" + header + "\r\n\r\ndata\r\n--b--\r\n"
	}
	return append(mails,
		"From: \"a\\\"\r\n b\" <a@example.com>\r\nSubject: \"q\\\"\r\n\r\nt",
		"From: =?utf-8?q?=01=1B=7F=C2=85=E2=80=A8?= <a@example.com>\r\nSubject: =?utf-8?b?/w==?=\r\n\r\nt",
		"From: \xff\xfe <a@example.com>\r\nSubject: caf\xe9\r\nX-\xe9: \xe9\r\n\r\ncaf\xe9\r\n",
		"Body-Plain: forged\r\ntoken: forged\r\nX[a]: 1\r\nX: 2\r\nX[a][b]: 3\r\nHeaders[x]: 1\r\n\r\nt",
		strings.Repeat("X-Long: "+strings.Repeat("v", 500)+"\r\n", 400)+"Subject: many\r\n\r\nt",
		attached("Content-Disposition: attachment; filename*=utf-8''%22%0D%0A%0D%0A--b"),
		attached("Content-Disposition: attachment; filename=\"\xff\xe9.txt\"\r\nContent-Type: text/\xe9; charset=\"\r\n\""),
		attached("Content-Disposition: attachment; filename=\"a\\\\b/c\\\"; name=\\\"x.exe\""),
		attached("Content-Type: a/b\"; x=y\r\nContent-ID: <\"}],>\r\nContent-Disposition: inline; filename="),
	)
}
