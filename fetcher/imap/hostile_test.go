package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
)

func TestHostileReplies(t *testing.T) {
	const (
		message = fetcher.MessageRadius
		session = fetcher.SessionRadius
		account = fetcher.AccountRadius
	)
	say, cut, endless, before := imapd.Say, imapd.Cut, imapd.Endless, imapd.Before
	const one = "* 1 FETCH (UID 1 BODY[] {19}\r\nSubject: 1\r\n\r\none\r\n)\r\n"
	tests := []struct {
		fact    string
		command string
		reply   imapd.Reply
		radius  fetcher.Radius
		cause   fetcher.Cause
		says    string
		whole   int
	}{
		{"greeting BYE", "", cut("* BYE go away\r\n"), session, fetcher.Temporary, "go away", 0},
		{"greeting of SMTP", "", say("220 smtp.example.com ESMTP\r\n"), session, fetcher.Protocol, "where a response was expected", 0},
		{"greeting of POP3", "", say("+OK ready\r\n"), session, fetcher.Protocol, "check that server names an IMAP server", 0},
		{"greeting cut", "", cut("* OK rea"), session, fetcher.Unreachable, "closed", 0},
		{"no greeting", "", cut(""), session, fetcher.Unreachable, "closed", 0},
		{"greeting without an end", "", endless("* OK ", "x"), session, fetcher.Protocol, "more than", 0},
		{"blank lines without an end", "", endless("", "\r\n"), session, fetcher.Protocol, "more than", 0},
		{"terminal escapes", "", cut("* BYE \x1b[2J\r\n"), session, fetcher.Temporary, `\x1b[2J`, 0},

		{"no capabilities", "CAPABILITY", say("$ BAD no\r\n"), session, fetcher.Protocol, "capabilities", 0},
		{"capabilities cut", "CAPABILITY", cut("* CAPABILITY IMAP4rev1"), session, fetcher.Unreachable, "closed", 0},

		{"wrong password", "AUTHENTICATE", say("$ NO [AUTHENTICATIONFAILED] no\r\n"), account, fetcher.Refused, "check username", 0},
		{"wrong password without a code", "AUTHENTICATE", say("$ NO no\r\n"), account, fetcher.Refused, "check username", 0},
		{"sign-in BAD", "AUTHENTICATE", say("$ BAD no\r\n"), account, fetcher.Refused, "BAD no", 0},
		{"code in lower case", "AUTHENTICATE", say("$ NO [unavailable] later\r\n"), session, fetcher.Temporary, "trouble", 0},
		{"AUTHORIZATIONFAILED", "AUTHENTICATE", say("$ NO [AUTHORIZATIONFAILED] no\r\n"), account, fetcher.Refused, "may not be used", 0},
		{"EXPIRED", "AUTHENTICATE", say("$ NO [EXPIRED] old\r\n"), account, fetcher.Refused, "expired", 0},
		{"PRIVACYREQUIRED", "AUTHENTICATE", say("$ NO [PRIVACYREQUIRED] no\r\n"), account, fetcher.Refused, "wants TLS", 0},
		{"CONTACTADMIN", "AUTHENTICATE", say("$ NO [CONTACTADMIN] no\r\n"), account, fetcher.Temporary, "operator", 0},
		{"UNAVAILABLE", "AUTHENTICATE", say("$ NO [UNAVAILABLE] later\r\n"), session, fetcher.Temporary, "later", 0},
		{"INUSE", "AUTHENTICATE", say("$ NO [INUSE] locked\r\n"), session, fetcher.Temporary, "another client", 0},
		{"LIMIT", "AUTHENTICATE", say("$ NO [LIMIT] enough\r\n"), session, fetcher.Temporary, "less often", 0},
		{"BYE at the sign-in", "AUTHENTICATE", cut("* BYE too many\r\n"), session, fetcher.Temporary, "too many", 0},
		{"password repeated", "AUTHENTICATE", say("$ NO bad " + canary + "\r\n"), account, fetcher.Refused, secret.Masked, 0},
		{"SASL response repeated", "AUTHENTICATE", say("$ NO bad AGFkYQBodW50ZXIyLWNhbmFyeQ==\r\n"), account, fetcher.Refused, secret.Masked, 0},
		{"sign-in continued", "AUTHENTICATE", say("+ \r\n"), session, fetcher.Protocol, "the sign-in did not run", 0},
		{"challenge that is no base64", "AUTHENTICATE", say("+ %%%\r\n"), session, fetcher.Protocol, "the sign-in did not run", 0},

		{"box refused", "SELECT", say("$ NO [NOPERM] not yours\r\n"), session, fetcher.Temporary, "lacks the right", 0},
		{"box without UIDVALIDITY", "SELECT", say("* 2 EXISTS\r\n$ OK\r\n"), session, fetcher.Protocol, "UIDVALIDITY", 0},
		{"UIDVALIDITY that is no number", "SELECT", say("* OK [UIDVALIDITY x] y\r\n$ OK\r\n"), session, fetcher.Protocol, "protocol", 0},

		{"search refused", "UID SEARCH", say("$ NO [UNAVAILABLE] disk\r\n"), session, fetcher.Temporary, "disk", 0},
		{"UID 0", "UID SEARCH", say("* SEARCH 0\r\n$ OK\r\n"), session, fetcher.Protocol, "holds", 0},
		{"UID that is negative", "UID SEARCH", say("* SEARCH -1\r\n$ OK\r\n"), session, fetcher.Protocol, "protocol", 0},
		{"UID too large", "UID SEARCH", say("* SEARCH 4294967296\r\n$ OK\r\n"), session, fetcher.Protocol, "protocol", 0},
		{"four thousand million UIDs", "UID SEARCH", say("* ESEARCH (TAG \"%T\") UID ALL 1:4294967295\r\n$ OK\r\n"), session, fetcher.Protocol, "at most", 0},
		{"UIDs to the last", "UID SEARCH", say("* ESEARCH (TAG \"%T\") UID ALL 1:*\r\n$ OK\r\n"), session, fetcher.Protocol, "protocol", 0},
		{"sequence numbers for UIDs", "UID SEARCH", say("* ESEARCH (TAG \"%T\") ALL 1:2\r\n$ OK\r\n"), session, fetcher.Protocol, "no UIDs", 0},
		{"UIDs without an end", "UID SEARCH", endless("* SEARCH", " 1"), session, fetcher.Protocol, "more than", 0},
		{"unknown tag", "UID SEARCH", say("T999 OK\r\n"), session, fetcher.Protocol, "protocol", 0},
		{"tag without status", "UID SEARCH", say("$ YES\r\n"), session, fetcher.Protocol, "where a response", 0},
		{"stray continuation", "UID SEARCH", say("+ go on\r\n"), session, fetcher.Protocol, "protocol", 0},

		{"five million parentheses", "UID FETCH", say("* 1 FETCH (BODYSTRUCTURE " + strings.Repeat("(", 5_000_000) + "\r\n$ OK\r\n"), session, fetcher.Protocol, "nested deeper", 0},
		{"parentheses in what is unknown", "UID FETCH", say("* XFOO " + strings.Repeat("(", 5_000_000) + "\r\n$ OK\r\n"), session, fetcher.Protocol, "nested deeper", 0},
		{"a line of 100 MB", "UID FETCH", say("* OK " + strings.Repeat("x", 100<<20) + "\r\n$ OK\r\n"), session, fetcher.Protocol, "more than", 0},
		{"untagged without an end", "UID FETCH", endless("", "* OK still there "+strings.Repeat("x", 64<<10)+"\r\n"), session, fetcher.Protocol, "without an end of the answer", 0},
		{"literal of 4 GB", "UID FETCH", say("* 1 FETCH (UID 1 BODY[] {4294967295}\r\n"), session, fetcher.Protocol, "literal of 4294967295", 0},
		{"literal beyond numbers", "UID FETCH", say("* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\n"), session, fetcher.Protocol, "literal of 9999", 0},
		{"large literal outside a mail", "UID FETCH", say("* LIST () \"/\" {70000}\r\n"), session, fetcher.Protocol, "outside a mail", 0},
		{"BYE in between", "UID FETCH", cut("* BYE shutting down\r\n"), session, fetcher.Temporary, "shutting down", 0},

		{"mail cut", "UID FETCH BODY", cut("* 1 FETCH (UID 1 BODY[] {19}\r\nSubject"), session, fetcher.Unreachable, "closed", 0},
		{"mail cut after BYE", "UID FETCH BODY", cut("* BYE down\r\n* 1 FETCH (UID 1 BODY[] {19}\r\nSubject"), session, fetcher.Temporary, "down", 0},
		{"mail cut at its end", "UID FETCH BODY", cut(one[:len(one)-3]), session, fetcher.Unreachable, "closed", 1},
		{"nonsense after a mail", "UID FETCH BODY", say("* 1 FETCH (UID 1 BODY[] {19}\r\nSubject: 1\r\n\r\none\r\nnonsense\r\n"), session, fetcher.Protocol, "after a literal", 1},
		{"two mails in one answer", "UID FETCH BODY", say("* 1 FETCH (UID 1 BODY[] {19}\r\nSubject: 1\r\n\r\none\r\n BODY[] {2}\r\nno)\r\n"), session, fetcher.Protocol, "after a mail", 1},
		{"mails refused for all", "UID FETCH BODY", say("$ NO [LIMIT] enough for today\r\n"), session, fetcher.Temporary, "enough for today", 0},

		{"mail without UID", "UID FETCH BODY", say("* 1 FETCH (BODY[] {19}\r\nSubject: 1\r\n\r\none\r\n)\r\n$ OK\r\n"), message, fetcher.Temporary, "7/1: the server sent no body", 0},
		{"UID after the mail", "UID FETCH BODY", say("* 1 FETCH (BODY[] {19}\r\nSubject: 1\r\n\r\none\r\n UID 1)\r\n$ OK\r\n"), message, fetcher.Temporary, "no body", 0},
		{"mail of another UID", "UID FETCH BODY", say("* 9 FETCH (UID 9 BODY[] {2}\r\nno)\r\n$ OK\r\n"), message, fetcher.Temporary, "no body", 0},
		{"mail NIL", "UID FETCH BODY", say("* 1 FETCH (UID 1 BODY[] NIL)\r\n$ OK\r\n"), message, fetcher.Temporary, "no body", 0},
		{"mail empty", "UID FETCH BODY", say("* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n$ OK\r\n"), message, fetcher.Temporary, "7/1: the server sent it empty", 0},
		{"mail short, then long", "UID FETCH BODY", imapd.First(say("* 1 FETCH (UID 1 BODY[] {2}\r\nab)\r\n$ OK\r\n")), 0, 0, "", 2},
		{"mails refused one by one", "UID FETCH BODY", say("$ NO broken\r\n"), message, fetcher.Temporary, "7/1: NO broken", 0},
		{"one mail refused", "UID FETCH 1 (UID BODY.PEEK[])", say("$ NO broken\r\n"), 0, 0, "", 2},

		{"a flag refused", "UID STORE", say("$ NO read-only\r\n"), message, fetcher.Temporary, "7/1: NO read-only", 2},
		{"expunge refused", "UID EXPUNGE", say("$ NO no\r\n"), message, fetcher.Temporary, "settling (delete) 7/1", 2},
		{"expunge BAD", "UID EXPUNGE", say("$ BAD no\r\n"), message, fetcher.Protocol, "7/2", 2},
		{"store without an end", "UID STORE", cut("$ OK"), session, fetcher.Unreachable, "closed", 2},
		{"expunge unanswered", "UID EXPUNGE", cut(""), session, fetcher.Unreachable, "closed", 2},

		{"unknown responses", "UID FETCH BODY", before("* XFOO bar\r\n* VANISHED 3\r\n* LSUB () \"/\" x\r\n* 5 XBAR {3}\r\n(((\r\n\r\n*\r\n* \r\n"), 0, 0, "", 2},
		{"unknown items", "UID FETCH BODY", before("* 1 FETCH (UID 1 X-GM-MSGID 17)\r\n* 2 FETCH (RFC822 {2}\r\nno)\r\n* 1 FETCH (ENVELOPE (NIL \"a\\\"b\" NIL))\r\n"), 0, 0, "", 2},
		{"flags before the mail", "UID FETCH BODY", before("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 FLAGS ())\r\n"), 0, 0, "", 2},
		{"flags before the description", "UID FETCH", before("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"), 0, 0, "", 2},
		{"unterminated strings", "UID SEARCH", before("* FLAGS (\"x\r\n* LIST \"\r\n* 1 FETCH (\"\r\n* OK [UIDNEXT\r\n"), 0, 0, "", 2},
		{"malformed dates", "UID FETCH", say("* 1 FETCH (UID 1 RFC822.SIZE 19 INTERNALDATE \"yesterday\")\r\n$ OK\r\n"), 0, 0, "", 2},
		{"numbers that are none", "UID FETCH BODY", before("* 99999999999 EXISTS\r\n* 0 EXPUNGE\r\n* 0 FETCH (UID 1)\r\n* -1 EXISTS\r\n"), 0, 0, "", 2},
		{"capabilities taken back", "UID FETCH BODY", before("* CAPABILITY IMAP4rev1\r\n* OK [CAPABILITY IMAP4rev1] less\r\n"), 0, 0, "", 2},
		{"alert", "UID FETCH BODY", before("* OK [ALERT] \x1b[31mfull\r\n"), 0, 0, "", 2},
		{"literals in lists", "UID SEARCH", before("* LIST () \"/\" {3}\r\na b\r\n"), 0, 0, "", 2},
	}
	for _, test := range tests {
		t.Run(test.fact, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{Script: imapd.Script{test.command: test.reply}}, two...)
			whole, err := visit(t.Context(), client(t, s, dial.Plain, nil))
			switch {
			case test.says == "" && err != nil:
				t.Fatalf("error %v, want none", err)
			case test.says != "" && err == nil:
				t.Fatal("no error")
			case err != nil:
				wantError(t, err, test.radius, test.cause, test.says)
			}
			if len(whole) != test.whole {
				t.Errorf("%d mails were whole, want %d", len(whole), test.whole)
			}
			for _, m := range whole {
				if !slices.ContainsFunc(two, func(w []byte) bool { return bytes.Equal(w, m) }) {
					t.Errorf("a mail came as %q", m)
				}
			}
			left := 2
			if test.says == "" {
				left = 0
			}
			if n := len(s.Box("INBOX")); n != left {
				t.Errorf("%d mails are left, want %d", n, left)
			}
		})
	}
}

func wantError(t *testing.T, err error, radius fetcher.Radius, cause fetcher.Cause, says string) {
	t.Helper()
	if got := fetcher.RadiusOf(err); got != radius {
		t.Errorf("radius %d, want %d", got, radius)
	}
	if got := causeOfAll(err); got != cause {
		t.Errorf("cause %d, want %d", got, cause)
	}
	if text := err.Error(); !strings.Contains(text, says) || strings.Contains(text, canary) || strings.ContainsAny(text, "\r\x1b") {
		t.Errorf("error %q, want %q in it, and no secret or control octet", text, says)
	}
}

// causeOfAll is the cause of the first of joined errors.
func causeOfAll(err error) fetcher.Cause {
	if e, ok := errors.AsType[*fetcher.Error](err); ok {
		return e.Cause
	}
	return -1
}

func TestSilenceEndsTheSession(t *testing.T) {
	for _, command := range []string{"", "CAPABILITY", "AUTHENTICATE", "ID", "SELECT", "UID SEARCH", "UID FETCH", "UID FETCH BODY", "UID STORE", "UID EXPUNGE"} {
		for _, begun := range []string{"", "* OK sti", "* 1 FETCH (UID 1 BODY[] {100}\r\nSubject"} {
			t.Run(fmt.Sprintf("%s after %d octets", command, len(begun)), func(t *testing.T) {
				s := imapd.Start(t, imapd.Options{Script: imapd.Script{command: imapd.Silence(begun)}}, two...)
				_, err := visit(t.Context(), client(t, s, dial.Plain, func(o *Options) { o.Silence = 100 * time.Millisecond }))
				if !errors.Is(err, os.ErrDeadlineExceeded) || fetcher.CauseOf(err) != fetcher.Unreachable {
					t.Errorf("error %v", err)
				}
				if n := len(s.Box("INBOX")); n != 2 {
					t.Errorf("%d mails are left of 2", n)
				}
			})
		}
	}
}

func TestAnEndedContextInterruptsABlockedCall(t *testing.T) {
	for _, command := range []string{"", "CAPABILITY", "AUTHENTICATE", "SELECT", "UID SEARCH", "UID FETCH", "UID FETCH BODY", "UID STORE"} {
		t.Run(command, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{Script: imapd.Script{command: imapd.Silence("* OK")}}, two...)
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(50*time.Millisecond, cancel)
			defer timer.Stop()
			if _, err := visit(ctx, client(t, s, dial.Plain, nil)); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestASlowServerIsBounded(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Script: imapd.Script{"UID SEARCH": imapd.Endless("", "* OK wait\r\n")}}, two...)
	_, err := visit(t.Context(), client(t, s, dial.Plain, func(o *Options) { o.Command = 50 * time.Millisecond }))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// imapclient reads at its own pace: it may have given up on the server before the
// exchange that tells of it has begun.
func TestWhyTheConnectionEndedIsToldByTheNextExchange(t *testing.T) {
	s := imapd.New(imapd.Options{Script: imapd.Script{"": imapd.Say("+OK ready\r\n")}})
	t.Cleanup(s.Stop)
	source, err := New(Options{Server: dial.Server{Scheme: "imap", Host: "127.0.0.1", Port: "1", Mode: dial.Plain}, Username: "ada", Password: secret.New(canary)})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	s.Serve(theirs)
	x := newSession(source, &link{Conn: ours, gone: make(chan struct{})}, "", secret.Secret{})
	defer x.Close()
	<-x.client.Closed()
	wantError(t, x.begin(t.Context(), "connecting"), fetcher.SessionRadius, fetcher.Protocol, "check that server names an IMAP server")
}
