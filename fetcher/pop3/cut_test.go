package pop3

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"errors"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
)

// The replies of a whole session over three mails, in order.
var recorded = []struct{ to, text string }{
	{"the greeting", "+OK ready\r\n"},
	{"CAPA", "+OK\r\nPIPELINING\r\nUIDL\r\nTOP\r\n.\r\n"},
	{"USER", "+OK\r\n"},
	{"PASS", "+OK\r\n"},
	{"STAT", "+OK 3 129\r\n"},
	{"LIST", "+OK\r\n1 42\r\n2 42\r\n3 45\r\n.\r\n"},
	{"UIDL", "+OK\r\n1 u1\r\n2 u2\r\n3 u3\r\n.\r\n"},
	{"RETR 1", "+OK\r\nSubject: 1\r\nMessage-ID: <1@x>\r\n\r\n..one\r\n.\r\n"},
	{"RETR 2", "+OK\r\nSubject: 2\r\nMessage-ID: <2@x>\r\n\r\n..two\r\n.\r\n"},
	{"RETR 3", "+OK\r\nSubject: 3\r\nMessage-ID: <3@x>\r\n\r\n..three\r\n.\r\n"},
	{"DELE 1", "+OK\r\n"},
	{"DELE 2", "+OK\r\n"},
	{"DELE 3", "+OK\r\n"},
	{"QUIT", "+OK\r\n"},
}

// TestASessionCutAtEveryOctet closes the connection after each octet of the session:
// the mails that ended before it are whole, no other is, and the session is never
// taken for one that went well.
func TestASessionCutAtEveryOctet(t *testing.T) {
	var mails [][]byte
	for i, word := range []string{"one", "two", "three"} {
		mails = append(mails, fmt.Appendf(nil, "Subject: %d\r\nMessage-ID: <%d@x>\r\n\r\n.%s\r\n", i+1, i+1, word))
	}
	before, whole := 0, 0
	for _, reply := range recorded {
		t.Run(reply.to, func(t *testing.T) {
			for n := max(1, before); n < before+len(reply.text); n++ {
				s := pop3d.StartWith(t, pop3d.Options{CutAfter: n}, mails...)
				got, err := visit(t.Context(), client(t, s, dial.Plain, nil))
				if err == nil || fetcher.RadiusOf(err) != fetcher.SessionRadius || fetcher.CauseOf(err) != fetcher.Unreachable || !strings.Contains(err.Error(), "closed the connection") {
					t.Errorf("after %d octets: error %v", n, err)
				}
				if len(got) != whole {
					t.Errorf("after %d octets %d mails were whole, want %d", n, len(got), whole)
				}
				for i, m := range got {
					if !bytes.Equal(m, mails[i]) {
						t.Errorf("after %d octets mail %d came as %q", n, i+1, m)
					}
				}
				if left := s.Stored(); reply.to != "QUIT" && left != 3 {
					t.Errorf("after %d octets %d mails are left", n, left)
				}
			}
		})
		before += len(reply.text)
		if strings.HasPrefix(reply.to, "RETR") {
			whole++
		}
	}
	s := pop3d.StartWith(t, pop3d.Options{CutAfter: before}, mails...)
	if got, err := visit(t.Context(), client(t, s, dial.Plain, nil)); err != nil || len(got) != 3 || s.Stored() != 0 {
		t.Errorf("uncut: %d mails came, %d are left, %v", len(got), s.Stored(), err)
	}
}

// A server that sends an octet now and then keeps the silence short for ever.
func TestDripsEndTheSession(t *testing.T) {
	for _, c := range []struct{ command, drip string }{
		{"", "+OK ready "}, {"CAPA", "+OK\r\nX\r\n"}, {"PASS", "+OK "}, {"STAT", "+OK 00"}, {"LIST", "+OK\r\n1 9\r\n"}, {"UIDL", "+"},
		{"RETR 1", "+OK\r\nSubject: x\r\n"}, {"DELE 1", "+OK "}, {"QUIT", "+OK "},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			s := pop3d.Start(t, pop3d.Script{c.command: pop3d.Drips(c.drip, 10*time.Millisecond)}, two...)
			_, err := visit(t.Context(), client(t, s, dial.Plain, func(o *Options) { o.Silence, o.Command = 5*time.Second, 200*time.Millisecond }))
			if _, broke := errors.AsType[*violation](err); !broke && (!errors.Is(err, os.ErrDeadlineExceeded) || fetcher.CauseOf(err) != fetcher.Unreachable) {
				t.Errorf("error %v", err)
			}
			if s.Stored() != 2 && c.command != "QUIT" {
				t.Errorf("%d mails are left of 2", s.Stored())
			}
		})
	}
}
