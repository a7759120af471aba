package dial_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
)

const canary = "hunter2-canary"

// recorded dials a server with a record.
func recorded(t *testing.T, scheme string, handle func(net.Conn)) (*dial.Conn, *dial.Record) {
	t.Helper()
	r := dial.NewRecord(secret.New(canary))
	d := &dial.Dialer{Server: dial.Server{Scheme: scheme, Host: "127.0.0.1", Port: serve(t, handle), Mode: dial.Plain}}
	c, err := d.Dial(dial.WithRecord(t.Context(), r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r.Begin(dial.StepGreeting)
	return c, r
}

// spoken are the lines of a step, as "C text" and "S text".
func spoken(r *dial.Record, step string) (lines []string) {
	for _, s := range r.Steps() {
		if s.Name == step {
			for _, l := range s.Lines {
				lines = append(lines, l.From+" "+l.Text)
			}
		}
	}
	return lines
}

// exchange has the server say something in pieces and reads it to its end.
func exchange(t *testing.T, scheme string, pieces ...string) *dial.Record {
	t.Helper()
	c, r := recorded(t, scheme, func(c net.Conn) {
		for _, p := range pieces {
			io.WriteString(c, p)
		}
	})
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTranscriptOfWhatAServerSays(t *testing.T) {
	long := strings.Repeat("x", 600)
	for _, c := range []struct {
		fact, scheme string
		pieces       []string
		want         []string
	}{
		{"lines in pieces", "imap", []string{"* OK he", "llo\r", "\n* OK 2\r\n"}, []string{"S * OK hello", "S * OK 2"}},
		{"no end", "imap", []string{"* OK hel"}, []string{"S * OK hel"}},
		{"control octets", "pop3", []string{"+OK \x1b[2J\x00\r\n"}, []string{`S +OK \x1b[2J\x00`}},
		{"a long line", "pop3", []string{"+OK " + long + "\r\n"}, []string{"S +OK " + long[:508] + "…"}},
		{"a literal", "imap", []string{"* 1 FETCH (BODY[] {12}\r\nSubj", "ect: x\r\n", ")\r\nA1 OK\r\n"}, []string{"S * 1 FETCH (BODY[] {12}", "S … 12 octets", "S )", "S A1 OK"}},
		{"braces in POP3 are no literal", "pop3", []string{"+OK {11}\r\nmore\r\n"}, []string{"S +OK {11}", "S more"}},
		{"the secret", "pop3", []string{"-ERR not " + canary + "\r\n"}, []string{"S <hidden>"}},
		{"the secret behind what is shown", "pop3", []string{"-ERR " + long + canary + "\r\n"}, []string{"S <hidden>"}},
		{"the secret cut in two reads", "pop3", []string{"-ERR hunter2", "-canary\r\n"}, []string{"S <hidden>"}},
	} {
		t.Run(c.fact, func(t *testing.T) {
			r := exchange(t, c.scheme, c.pieces...)
			if got := spoken(r, dial.StepGreeting); !slices.Equal(got, c.want) {
				t.Errorf("transcript %q, want %q", got, c.want)
			}
		})
	}
}

func TestTranscriptIsBounded(t *testing.T) {
	r := exchange(t, "imap", strings.Repeat("* OK\r\n", 500))
	steps := r.Steps()
	if s := steps[len(steps)-1]; len(s.Lines) != 200 || s.Omitted != 300 {
		t.Errorf("%d lines, %d omitted", len(s.Lines), s.Omitted)
	}
}

func TestTranscriptHidesTheSignInAndElidesMails(t *testing.T) {
	c, r := recorded(t, "pop3", func(c net.Conn) {
		b := make([]byte, 100)
		for _, answer := range []string{"+OK\r\n", "+ aGVhcmQ=\r\n+OK in\r\n", "+OK\r\nSubject: x\r\n\r\n..\r\n.\r\n+OK next\r\n"} {
			if _, err := c.Read(b); err != nil {
				return
			}
			io.WriteString(c, answer)
		}
	})
	read := func(until string) {
		for line := ""; line != until; {
			line = readLine(t, c)
		}
	}
	io.WriteString(c, "NOOP\r\n")
	read("+OK\r\n")
	r.Begin(dial.StepSignIn)
	io.WriteString(c, "PASS something else entirely\r\n")
	read("+OK in\r\n")
	r.Begin("mails")
	io.WriteString(c, "RETR 1\r\n")
	read("+OK next\r\n")
	for step, want := range map[string][]string{
		dial.StepGreeting: {"C NOOP", "S +OK"},
		dial.StepSignIn:   {"C <hidden>", "S + <hidden>", "S +OK in"},
		"mails":           {"C RETR 1", "S +OK", "S … 18 octets", "S +OK next"},
	} {
		if got := spoken(r, step); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", step, got, want)
		}
	}
}

func TestRecordTellsTheStepsOfAConnection(t *testing.T) {
	ca := newAuthority(t)
	port := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(func(c *x509.Certificate) {
		c.NotAfter = time.Now().Add(24*time.Hour + time.Minute)
	})}})
	config, err := dial.TLS{CAFile: ca.File}.Config("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	r := dial.NewRecord()
	var begun []string
	r.OnStep(func() { begun = append(begun, r.Current()) })
	d := &dial.Dialer{Server: dial.Server{Scheme: "imaps", Host: "localhost", Port: port, Mode: dial.Implicit}, TLS: config}
	c, err := d.Dial(dial.WithRecord(t.Context(), r))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := []string{dial.StepDNS, dial.StepTCP, dial.StepTLS}
	if !slices.Equal(begun, want) {
		t.Errorf("steps begun %q, want %q", begun, want)
	}
	steps := r.Steps()
	for i, says := range []string{"localhost has the address", "connected to 127.0.0.1:" + port, "TLS 1.3, certificate for 127.0.0.1 by Test CA, 1 day left"} {
		if len(steps) != 3 || !strings.Contains(steps[i].Said, says) {
			t.Fatalf("steps %+v, want %q in %d", steps, says, i)
		}
	}
	if !strings.Contains(steps[2].Warning, "have it renewed") {
		t.Errorf("warning %q of a certificate that ends tomorrow", steps[2].Warning)
	}
}

func TestNoRecordNotesNothing(t *testing.T) {
	var r *dial.Record
	r.Begin(dial.StepTLS)
	r.Said("x")
	r.Warn("x")
	r.Offers([]string{"x"})
	if r.Current() != "" || dial.RecordOf(context.Background()) != nil {
		t.Error("a step was noted by nobody")
	}
}

func TestSilenceIsExplained(t *testing.T) {
	for _, c := range []struct {
		server dial.Server
		says   string
	}{
		{dial.Server{Scheme: "imap", Port: "993", Mode: dial.StartTLS}, "port 993 speaks TLS: use imaps://"},
		{dial.Server{Scheme: "imap", Port: "993", Mode: dial.Plain}, "port 993 speaks TLS: use imaps://"},
		{dial.Server{Scheme: "pop3", Port: "995", Mode: dial.StartTLS}, "port 995 speaks TLS: use pop3s://"},
		{dial.Server{Scheme: "imap", Port: "1143", Mode: dial.StartTLS}, "if the server expects TLS on port 1143, use imaps://"},
		{dial.Server{Scheme: "imaps", Port: "993", Mode: dial.Implicit}, "no mail server speaks behind it"},
	} {
		if got := c.server.SilenceHint(); !strings.Contains(got, c.says) {
			t.Errorf("%v: %q, want %q", c.server, got, c.says)
		}
	}
	for _, step := range []string{dial.StepDNS, dial.StepTCP, dial.StepTLS, dial.StepGreeting, dial.StepSignIn} {
		e := dial.StepTimeout(dial.Server{Scheme: "imap", Port: "143"}, step, time.Second)
		if e.Hint == "" || !e.Timeout() || !strings.Contains(e.Error(), "no answer within 1s") || dial.Untrusted(e) {
			t.Errorf("%s: %v, hint %q", step, e, e.Hint)
		}
	}
}

func FuzzTranscriptHoldsNoSecret(f *testing.F) {
	f.Add("+OK "+canary, "\r\n+ x\r\n", true)
	f.Add("* {20}\r\n", canary+"\r\n"+canary+"\r\n", false)
	f.Add("+OK\r\nSubject: x\r\n.\r\n", "* {99999999999999999999}\r\n", true)
	f.Fuzz(func(t *testing.T, first, second string, signIn bool) {
		client, server := net.Pipe()
		defer server.Close()
		r := dial.NewRecord(secret.New(canary))
		c := dial.NewRecorded(client, dial.Server{Scheme: "imap"}, r)
		defer c.Close()
		if signIn {
			r.Begin(dial.StepSignIn)
		} else {
			r.Begin("mails")
		}
		go func() {
			defer server.Close()
			io.WriteString(server, first)
			io.WriteString(server, second)
		}()
		io.Copy(io.Discard, c)
		if all := fmt.Sprint(r.Steps()); strings.Contains(all, canary) {
			t.Fatalf("the secret is in %q", all)
		}
	})
}
