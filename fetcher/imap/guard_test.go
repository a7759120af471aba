package imap

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
)

// octets is a connection on which a server has said all it ever will.
type octets struct {
	net.Conn
	r io.Reader
}

func (o octets) Read(p []byte) (int, error)  { return o.r.Read(p) }
func (o octets) Write(p []byte) (int, error) { return len(p), nil }
func (o octets) Close() error                { return nil }

// through is what the guard passes on, and how it ended.
func through(r io.Reader) (string, error) {
	out, err := io.ReadAll(newGuard(octets{r: r}, ""))
	return string(out), err
}

// dialogues are what servers say in RFC 3501 (section 8 and the sections of the
// commands), RFC 2177, RFC 4315, RFC 4731 and RFC 6851, and what other programs
// have met.
var dialogues = []string{
	"* OK IMAP4rev1 Service Ready\r\na001 OK LOGIN completed\r\n" +
		"* 18 EXISTS\r\n* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* OK [UNSEEN 17] Message 17 is the first unseen message\r\n" +
		"* OK [UIDVALIDITY 3857529045] UIDs valid\r\na002 OK [READ-WRITE] SELECT completed\r\n" +
		"* 12 FETCH (UID 12 FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286)\r\na003 OK FETCH completed\r\n" +
		"* 12 FETCH (UID 12 BODY[] {29}\r\nDate: Wed, 17 Jul 1996\r\n\r\nX\r\n)\r\na004 OK FETCH completed\r\n" +
		"* 12 FETCH (FLAGS (\\Seen \\Deleted))\r\na005 OK +FLAGS completed\r\n* BYE IMAP4rev1 server terminating connection\r\na006 OK LOGOUT completed\r\n",
	"* CAPABILITY IMAP4rev1 STARTTLS AUTH=GSSAPI LOGINDISABLED\r\nabcd OK CAPABILITY completed\r\n",
	"* LIST (\\Noselect) \"/\" \"\"\r\n* LIST () \"/\" {7}\r\nfoo bar\r\n* LIST () \"/\" \"&U,BTFw-/&ZeVnLIqe-\"\r\na OK\r\n",
	"* SEARCH 2 84 882\r\n* SEARCH\r\n* ESEARCH (TAG \"A285\") UID MIN 7 ALL 4:18,21,28\r\na OK\r\n",
	"+ idling\r\n* 4 EXISTS\r\n* 3 EXPUNGE\r\n* 3 EXISTS\r\nA001 OK IDLE terminated\r\n",
	"* OK [COPYUID 432432 42:69 1202:1229] Done\r\n* 22 EXPUNGE\r\nA003 OK Done\r\n",
	"* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited\r\n* OK [UIDNEXT 4392] Predicted next UID\r\n* OK [HIGHESTMODSEQ 715194045007] x\r\na OK\r\n",
	"* 1 FETCH (UID 1 BODY[] \"a quoted \\\"mail\\\"\" FLAGS ())\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\na OK\r\n",
	"* 1 FETCH (UID 1 MODSEQ (12121231777) FLAGS ())\r\na OK\r\n",
}

func TestWhatServersSayPassesUnchanged(t *testing.T) {
	for _, d := range dialogues {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(d), "octet by octet": iotest.OneByteReader(strings.NewReader(d))} {
			if got, err := through(r); got != d || err != nil {
				t.Errorf("%s: %q became %q, %v", name, d, got, err)
			}
		}
	}
}

func TestWhatTheGuardLeavesOut(t *testing.T) {
	for _, c := range []struct{ said, passed string }{
		{"* XFOO\r\n* 1 EXISTS\r\n", "* 1 EXISTS\r\n"},
		{"* VANISHED (EARLIER) 41,43:116\r\na OK\r\n", "a OK\r\n"},
		{"* XFOO {4}\r\n)(\"x {3}\r\nabc y\r\na OK\r\n", "a OK\r\n"},
		{"* 1 FETCH (UID 1 X-GM-LABELS ({3}\r\n\\In b))\r\na OK\r\n", "a OK\r\n"},
		{"* 1 FETCH (UID 1 RFC822 {3}\r\nabc)\r\na OK\r\n", "a OK\r\n"},
		{"* 1 FETCH (UID 1 BODY[TEXT] {3}\r\nabc)\r\na OK\r\n", "a OK\r\n"},
		{"* 1 FETCH (UID 1 BODY[] {3}\r\nabc X-GM-MSGID 4)\r\na OK\r\n", "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\na OK\r\n"},
		{"\r\n\n*\r\n* \r\n   \r\na OK\r\n", "a OK\r\n"},
		{"* ID (\"name\" \"x\")\r\na OK\r\n", "a OK\r\n"},
		{"* OK [UIDNEXT 4\r\na OK\r\n", "a OK\r\n"},
	} {
		if got, err := through(strings.NewReader(c.said)); got != c.passed || err != nil {
			t.Errorf("%q became %q, %v, want %q", c.said, got, err, c.passed)
		}
	}
}

func TestAnEndWithinAResponseIsAnError(t *testing.T) {
	d := dialogues[0]
	for n := range len(d) {
		_, err := through(strings.NewReader(d[:n]))
		within := n > 0 && (d[n-1] != '\n' || strings.Contains(lastResponse(d[:n]), "{29}"))
		if within != errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %q: %v", d[max(0, n-20):n], err)
		}
	}
}

// lastResponse is what begins with the last "* 12 FETCH (UID 12 BODY", up to the
// line that ends it.
func lastResponse(d string) string {
	at := strings.LastIndex(d, "* 12 FETCH (UID 12 BODY")
	if at < 0 || strings.Contains(d[at:], "\r\n)\r\n") {
		return ""
	}
	return d[at:]
}

func TestWhatConcernsIDLEIsHeardAndNotPassedOn(t *testing.T) {
	for _, c := range []struct{ said, passed, heard string }{
		{"T4 OK CAPABILITY completed\r\n", "T4 OK CAPABILITY completed\r\n", ""},
		{"T4 OK\r\n+ idling\r\n* 4 EXISTS\r\n", "T4 OK\r\n* 4 EXISTS\r\n", "+"},
		{"+ idling\r\n+ again\r\nI1 OK enough\r\n", "", "+ OK"},
		{"I1 NO [UNAVAILABLE] not now\r\n", "", "NO"},
		{"+ idling\r\nI11 OK\r\nI1 OK\r\nDONE BAD what\r\n", "I11 OK\r\n", "+ OK"},
	} {
		g := newGuard(octets{r: strings.NewReader(c.said)}, "")
		i := newAside("I1")
		g.aside.Store(i)
		passed, err := io.ReadAll(g)
		close(i.heard)
		var heard []string
		for said := range i.heard {
			heard = append(heard, string(said.Type))
		}
		if err != nil || string(passed) != c.passed || strings.Join(heard, " ") != c.heard {
			t.Errorf("of %q %q was passed on and %q heard, want %q and %q; %v", c.said, passed, heard, c.passed, c.heard, err)
		}
	}
}

func TestAFailureStays(t *testing.T) {
	g := newGuard(octets{r: strings.NewReader("nonsense\r\n* 1 EXISTS\r\n")}, "")
	_, first := g.Read(make([]byte, 100))
	_, second := g.Read(make([]byte, 100))
	_, third := g.Write([]byte("x"))
	if !isViolation(first) || second != first || third != first {
		t.Errorf("errors %v, %v, %v", first, second, third)
	}
}

func FuzzGuard(f *testing.F) {
	for _, d := range dialogues {
		f.Add([]byte(d), uint8(7))
	}
	for _, d := range []string{
		"* 1 FETCH (BODYSTRUCTURE " + strings.Repeat("(", 1000), "* 1 FETCH (UID 1 BODY[] {9999999999}\r\n", "* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n",
		"* 1 FETCH (UID 1 FLAGS (\\*))\r\n", "* SEARCH 0\r\n", "* ESEARCH UID ALL *\r\n", "* OK [BADCHARSET ({3}\r\nabc)]\r\n", "* LIST (\"\\", "+\r\n+ x\r\n",
		"* 0 EXPUNGE\r\n* 1 EXPUNGE\r\n", "* ENABLED X\r\n", "* STATUS x (MESSAGES 4)\r\n", "T1 OK [COPYUID 1 * *] x\r\n", "* PREAUTH\r\n* PREAUTH\r\n",
	} {
		f.Add([]byte(d), uint8(1))
	}
	f.Fuzz(func(t *testing.T, said []byte, step uint8) {
		passed, err := through(bytes.NewReader(said))
		if len(passed) > len(said) {
			t.Errorf("%d octets became %d", len(said), len(passed))
		}
		again, err2 := through(iotest.OneByteReader(bytes.NewReader(said)))
		if again != passed || (err == nil) != (err2 == nil) {
			t.Errorf("octet by octet %q, %v became %q, %v", passed, err, again, err2)
		}
		// What has passed is read by imapclient to its end, whatever it makes of it.
		g := newGuard(octets{r: io.MultiReader(strings.NewReader("* PREAUTH x\r\n"), bytes.NewReader(said))}, "")
		c := imapclient.New(g, nil)
		select {
		case <-c.Closed():
		case <-time.After(20 * time.Second):
			t.Fatal("imapclient never ends")
		}
		_ = c.Close() // what it failed with does not matter
	})
}
