package mailtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

var peers = []string{"internal/mailtest/seqloop", "internal/mailtest/relay"}

// peerResult is the line a peer prints.
type peerResult struct {
	Mails      int
	Seconds    float64
	CPUSeconds float64
	VmHWM      int64
}

// runPeer runs a peer on ada's mailbox.
func runPeer(t testing.TB, pkg, address, url string, args ...string) (peerResult, *Proc, int) {
	t.Helper()
	p := StartProc(t, Command{Path: build(t, pkg), Args: append([]string{"-address", address, "-user", ada, "-password", password, "-webhook", url}, args...)})
	code := p.Wait(t, time.Minute)
	var r peerResult
	if err := json.Unmarshal([]byte(p.Stdout.String()), &r); err != nil {
		t.Fatalf("%s printed %q and %q", pkg, p.Stdout, p.Stderr)
	}
	return r, p, code
}

func TestPeersDeliverEveryMailAndDeleteIt(t *testing.T) {
	mails := Mix(620, 1)
	for _, pkg := range peers {
		t.Run(pkg, func(t *testing.T) {
			d, r := StartDovecot(t), NewReceiver(t)
			d.AddUser(t, ada, password)
			for _, raw := range mails {
				d.Append(t, ada, "INBOX", raw)
			}
			got, p, code := runPeer(t, pkg, d.IMAPSAddr(), r.URL, "-tls", "-count", "610")
			if code != 0 || got.Mails != 610 || got.Seconds <= 0 || got.CPUSeconds <= 0 || got.VmHWM < 1000 || got.VmHWM > 1<<20 {
				t.Errorf("exit code %d, result %+v, %s", code, got, p.Stderr)
			}
			seen := map[string]int{}
			for _, b := range r.Bodies() {
				seen[Token(b)]++
			}
			for i, raw := range mails[:610] {
				if seen[Token(raw)] != 1 {
					t.Errorf("mail %d came %d times", i, seen[Token(raw)])
				}
			}
			if left := d.Stored(t, ada, "INBOX"); len(left) != 10 {
				t.Errorf("%d mails are left, want 10", len(left))
			}
		})
	}
}

func TestPeersLeaveWhatTheWebhookRefuses(t *testing.T) {
	for _, pkg := range peers {
		t.Run(pkg, func(t *testing.T) {
			d, r := StartDovecot(t), NewReceiver(t)
			d.AddUser(t, ada, password)
			for _, raw := range Mix(10, 2) {
				d.Append(t, ada, "INBOX", raw)
			}
			r.Answer(func(q *Request) Answer {
				if q.N%2 == 0 {
					return Answer{Status: 503}
				}
				return Answer{Status: 200}
			})
			got, p, code := runPeer(t, pkg, d.IMAPAddr(), r.URL)
			if code != 1 || got.Mails != 5 || strings.Count(p.Stderr.String(), "503") != 5 {
				t.Errorf("exit code %d, result %+v, %s", code, got, p.Stderr)
			}
			if left := d.Stored(t, ada, "INBOX"); len(left) != 5 {
				t.Errorf("%d mails are left, want 5", len(left))
			}
		})
	}
}

func TestSeqloopPostsTextHTMLAndAttachments(t *testing.T) {
	d, r := StartDovecot(t), NewReceiver(t)
	d.AddUser(t, ada, password)
	mails := Mix(20, 3)
	for _, raw := range mails {
		d.Append(t, ada, "INBOX", raw)
	}
	if got, p, code := runPeer(t, peers[0], d.IMAPAddr(), r.URL); code != 0 || got.Mails != 20 {
		t.Fatalf("exit code %d, result %+v, %s", code, got, p.Stderr)
	}
	for i, b := range r.Bodies() { // in order, since it is sequential
		var e struct {
			From                []struct{ Name, Email string }
			Subject, Text, HTML string
			Attachments         []struct {
				Name, Type string
				Size       int
				Content    []byte
			}
		}
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		token := Token(mails[i])
		if e.Subject != "Order "+strconv.Itoa(i)+" "+token || e.From[0].Name != "Sender "+strconv.Itoa(i) || !strings.HasPrefix(e.Text, token) {
			t.Errorf("mail %d is %q from %v with %q", i, e.Subject, e.From, e.Text[:min(len(e.Text), 50)])
		}
		if wants := i == 3 || i == 9 || i == 15; wants != strings.HasPrefix(e.HTML, "<html>") {
			t.Errorf("the HTML of mail %d is %q", i, e.HTML[:min(len(e.HTML), 50)])
		}
		if i != 19 {
			continue
		}
		_, encoded, _ := bytes.Cut(mails[i], []byte("Content-Transfer-Encoding: base64\r\n\r\n"))
		encoded, _, _ = bytes.Cut(encoded, []byte("\r\n--"))
		want, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(encoded), "\r\n", ""))
		if a := e.Attachments; err != nil || len(a) != 1 || a[0].Name != token+".pdf" || a[0].Type != "application/pdf" || a[0].Size != len(want) || !bytes.Equal(a[0].Content, want) {
			t.Errorf("the attachment differs, %v", err)
		}
	}
}
