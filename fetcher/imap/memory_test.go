//go:build !race

// Memory is measured here, of which the race detector needs some too.

package imap

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/heap"
	"github.com/postferry/postferry/internal/mailtest/imapd"
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

// mostHeld is what a session may hold, whatever the server says.
const mostHeld = 64 << 20

// A server that floods the session costs no more than so much memory, and the session
// ends with an error that says why, or goes on.
func TestAHostileServerIsHeldInLittleMemory(t *testing.T) {
	say, endless := imapd.Say, imapd.Endless
	flood := strings.Repeat("x", 64<<10)
	for _, c := range []struct {
		fact    string
		command string
		reply   imapd.Reply
		folders []string
		says    string // of the error; "" if there is none
		least   int64  // octets that have to come for the test to be one
	}{
		{"a greeting without an end", "", endless("* OK ", "x"), nil, "more than", 1 << 20},
		{"untagged without an end", "UID SEARCH", endless("", "* OK "+flood+"\r\n"), nil, "without an end of the answer", 60 << 20},
		{"small untagged without an end", "UID SEARCH", endless("", "* 1 EXISTS\r\n* 1 EXPUNGE\r\n"), nil, "without an end of the answer", 10 << 20},
		{"capabilities that flip without an end", "UID SEARCH", endless("", "* CAPABILITY IMAP4rev1\r\n* CAPABILITY IMAP4rev1 IDLE MOVE UIDPLUS\r\n"), nil, "without an end of the answer", 10 << 20},
		{"a storm of BYE", "UID SEARCH", endless("", "* BYE enough "+flood+"\r\n"), nil, "without an end of the answer", 60 << 20},
		{"a capability of 100 MB", "CAPABILITY", endless("* CAPABILITY", " X"+flood[:1000]), nil, "more than", 1 << 20},
		{"capabilities without an end", "CAPABILITY", endless("", "* CAPABILITY IMAP4rev1 "+flood+"\r\n"), nil, "without an end of the answer", 60 << 20},
		{"flags without an end", "SELECT", endless("* FLAGS (", "$F"+flood[:100]+" "), nil, "more than", 10 << 20},
		{"a million flags that may be set", "SELECT", endless("* OK [PERMANENTFLAGS (", "$F "), nil, "more than", 1 << 20},
		{"folders without an end", "LIST", endless("", "* LIST () \"/\" \""+flood[:4000]+"\"\r\n"), []string{"*"}, "without an end of the answer", 10 << 20},
		{"a folder with a name of 100 MB", "LIST", endless("* LIST () \"/\" \"", "x"), []string{"*"}, "more than", 10 << 20},
		{"folders with literals without an end", "LIST", endless("", "* LIST () \"/\" {60000}\r\n"+flood[:60000]+"\r\n"), []string{"*"}, "without an end of the answer", 60 << 20},
		{"UIDs without an end", "UID SEARCH", endless("* SEARCH", " 1"), nil, "more than", 10 << 20},
		{"UIDs in ranges without an end", "UID SEARCH", endless("* ESEARCH (TAG \"T9\") UID ALL 1", ",3:4"), nil, "more than", 10 << 20},
		{"answers to another search without an end", "UID SEARCH", endless("", "* SEARCH 1"+strings.Repeat(" 4294967295", 100)+"\r\n"), nil, "without an end of the answer", 10 << 20},
		{"parentheses of 100 MB", "UID FETCH", endless("* 1 FETCH (BODYSTRUCTURE ", "("), nil, "more than", 1 << 20},
		{"a line of 100 MB", "UID FETCH", endless("* 1 FETCH (UID 1 FLAGS (\"", "x"), nil, "more than", 1 << 20},
		{"descriptions nobody asked for without an end", "UID FETCH", endless("", "* 1 FETCH (UID 1 RFC822.SIZE 19 FLAGS ($"+flood[:4000]+") INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n"), nil, "without an end of the answer", 60 << 20},
		{"a literal of 4 GB that is no mail", "UID FETCH", say("* 1 FETCH (UID 1 RFC822 {4294967295}\r\n" + flood), nil, "literal of", 10},
		{"a mail of 64 MB", "UID FETCH BODY", imapd.Reply{Octets: "* 1 FETCH (UID 1 BODY[] {67108864}\r\n", Cut: true, Stream: func(w io.Writer) {
			for range 1024 {
				io.WriteString(w, flood)
			}
		}}, nil, "closed the connection", 64 << 20},
		{"mails nobody asked for without an end", "UID FETCH BODY", endless("", "* 9 FETCH (UID 9 BODY[] {65536}\r\n"+flood+")\r\n"), nil, "without an end of the answer", 200 << 20},
		{"sign-in continued without an end", "AUTHENTICATE", endless("", "+ \r\n"), nil, "protocol", 10},
		{"a challenge of 100 MB", "AUTHENTICATE", endless("+ ", "eHh4"), nil, "more than", 1 << 20},
		{"a refusal of 100 MB", "AUTHENTICATE", endless("T2 NO ", "x"), nil, "more than", 1 << 20},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{Script: imapd.Script{c.command: c.reply}}, two...)
			source := client(t, s, dial.Plain, nil)
			connect := source.connect
			m := heap.New()
			source.connect = func(ctx context.Context) (connection, error) {
				conn, err := connect(ctx)
				return metered{conn, m}, err
			}
			held, err := hostile(t, source, c.folders, m)
			if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 4*dial.MaxText {
				t.Errorf("error of %d octets: %.200v, want %q in it", len(fmt.Sprint(err)), err, c.says)
			}
			if held > mostHeld || m.Octets() < c.least {
				t.Errorf("%d KB are held of %d KB that came, want %d MB at most, of %d KB", held>>10, m.Octets()>>10, mostHeld>>20, c.least>>10)
			}
			t.Logf("%d KB held of %d KB", held>>10, m.Octets()>>10)
		})
	}
}

// hostile is a visit that keeps no mail, and what it holds at the most while its
// session is there.
func hostile(t *testing.T, source *Source, folders []string, m *heap.Meter) (held int64, err error) {
	x, err := source.Open(t.Context())
	if err != nil {
		return m.Most(), err
	}
	defer x.Close()
	if folders != nil {
		if _, err = x.(fetcher.Finder).Boxes(t.Context(), folders); err != nil {
			return m.Most(), err
		}
	}
	l, err := x.List(t.Context(), "INBOX", "")
	if err == nil {
		err = x.Retrieve(t.Context(), l.Refs, func(_ fetcher.Ref, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
	}
	return m.Most(), err
}
