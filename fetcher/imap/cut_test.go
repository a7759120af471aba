package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

// cutting is a connection that ends after so many octets from the server, as if the
// server had closed it. It keeps what it has read.
type cutting struct {
	net.Conn
	left int // -1: it is not cut

	mu   sync.Mutex
	read bytes.Buffer
}

func (c *cutting) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.Conn.Close()
		return 0, io.EOF
	}
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	n, err := c.Conn.Read(p)
	if c.left > 0 {
		c.left -= n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.Write(p[:n])
	return n, err
}

func (c *cutting) octets() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.read.Bytes())
}

// cutSession runs a whole session, cut after so many octets: sign-in, listing,
// retrieval, deletion. told is what the server said until Settle had returned.
func cutSession(t *testing.T, after int) (s *imapd.Server, whole []string, told []byte, err error) {
	t.Helper()
	welcome := "$ OK [CAPABILITY " + imapd.AllCaps + "] welcome\r\n" // else imapclient asks at a moment of its own
	s = imapd.New(imapd.Options{Script: imapd.Script{
		"": imapd.Say("* OK [CAPABILITY " + imapd.AllCaps + "] ready\r\n"), "AUTHENTICATE": imapd.Say(welcome),
	}}, two...)
	t.Cleanup(s.Stop)
	source, err := New(Options{Server: dial.Server{Scheme: "imap", Host: "127.0.0.1", Port: "1", Mode: dial.Plain}, Username: "ada", Password: secret.New(canary)})
	if err != nil {
		t.Fatal(err)
	}
	var wire *cutting
	source.connect = func(context.Context) (connection, error) {
		ours, theirs := net.Pipe()
		s.Serve(theirs)
		wire = &cutting{Conn: ours, left: after}
		return &link{Conn: wire, gone: make(chan struct{})}, nil
	}
	x, err := source.Open(t.Context())
	if err != nil {
		return s, nil, wire.octets(), err
	}
	defer x.Close()
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil {
		return s, nil, wire.octets(), err
	}
	var due []spool.Settlement
	err = x.Retrieve(t.Context(), l.Refs, func(r fetcher.Ref, octets io.Reader) error {
		raw, err := io.ReadAll(octets)
		if err == nil {
			whole = append(whole, string(raw))
			due = append(due, settlement(r.UID, spool.Action{Verb: spool.Delete}))
		}
		return err
	})
	if err == nil {
		err = x.Settle(t.Context(), due)
	}
	return s, whole, wire.octets(), err
}

// A connection that ends anywhere ends the session with an error that says so, no
// mail comes cut, and nothing is removed that did not come whole.
func TestACutAtEveryOctetOfASession(t *testing.T) {
	_, whole, told, err := cutSession(t, -1)
	if err != nil || len(whole) != len(two) {
		t.Fatalf("%d mails, %v", len(whole), err)
	}
	ends := map[int]int{} // octets after which so many mails are whole
	for i, m := range two {
		at := bytes.Index(told, m)
		if at < 0 {
			t.Fatalf("mail %d is not in %q", i, told)
		}
		ends[at+len(m)] = i + 1
	}
	for n := range len(told) {
		t.Run(fmt.Sprintf("octet %d, in %q", n, lineAt(told, n)), func(t *testing.T) {
			t.Parallel()
			s, whole, _, err := cutSession(t, n)
			if fetcher.RadiusOf(err) != fetcher.SessionRadius || fetcher.CauseOf(err) != fetcher.Unreachable || err == nil {
				t.Fatalf("error %v, want that the server closed the connection", err)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, fetcher.ErrFinished) {
				t.Errorf("error %v", err)
			}
			want := 0
			for end, mails := range ends {
				if n >= end {
					want = max(want, mails)
				}
			}
			if len(whole) != want {
				t.Errorf("%d mails came whole, want %d", len(whole), want)
			}
			for _, m := range whole {
				if !slices.ContainsFunc(two, func(w []byte) bool { return string(w) == m }) {
					t.Errorf("a mail came as %q", m)
				}
			}
			if left := len(s.Box("INBOX")); left < len(two) && len(whole) < len(two) {
				t.Errorf("%d mails are left and %d came", left, len(whole))
			}
		})
	}
}

// lineAt is the line in which an octet stands, cut to be a name.
func lineAt(text []byte, at int) string {
	from := bytes.LastIndexByte(text[:at], '\n') + 1
	line := text[from:]
	if end := bytes.IndexByte(line, '\r'); end >= 0 {
		line = line[:end]
	}
	return string(line[:min(len(line), 24)])
}
