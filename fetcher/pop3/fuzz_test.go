package pop3

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
)

// tape is a server that says what is on it, whatever it is told. A new piece is read
// each time something was written.
type tape struct {
	net.Conn
	said *bytes.Reader
	step int // octets of a piece
	over bool
}

func (s *tape) Read(p []byte) (int, error) {
	if s.over {
		return 0, net.ErrClosed
	}
	n, err := s.said.Read(p[:min(len(p), max(1, s.step))])
	return n, err
}

func (s *tape) Write(p []byte) (int, error) {
	if s.over {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func (s *tape) Close() error                     { s.over = true; return nil }
func (s *tape) SetDeadline(time.Time) error      { return nil }
func (s *tape) SetReadDeadline(time.Time) error  { return nil }
func (s *tape) SetWriteDeadline(time.Time) error { return nil }
func (s *tape) SetReadTimeout(time.Duration)     {}
func (s *tape) Upgrade(context.Context, *tls.Config, ...byte) error {
	return io.ErrUnexpectedEOF
}

// FuzzSession has a server say anything: the session ends, with mails that are whole
// and errors that are fit to be shown.
func FuzzSession(f *testing.F) {
	const begin = "+OK ready <1@x>\r\n+OK\r\nPIPELINING\r\nUIDL\r\nTOP\r\n.\r\n"
	for _, seed := range []string{
		begin + "+OK\r\n+OK\r\n+OK 2 20\r\n+OK\r\n1 9\r\n2 9\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\none\r\n.\r\n+OK\r\n..two\r\n.\r\n+OK\r\n+OK\r\n+OK\r\n",
		begin + "+OK\r\n+OK\r\n+OK 2 20\r\n+OK\r\n1 9\r\n2 9\r\n.\r\n+OK\r\n1 a\r\n2 a\r\n.\r\n+OK\r\nA: 1\r\n\r\n.\r\n+OK\r\nA: 2\r\n\r\n.\r\n+OK\r\none\r\n.\r\n-ERR no\r\n+OK\r\n+OK\r\n",
		"+OK\r\n-ERR\r\n+OK\r\n-ERR [IN-USE] x\r\n",
		"+OK\r\n+OK\r\nSASL PLAIN CRAM-MD5 LOGIN XOAUTH2\r\n.\r\n+ PDFAeD4=\r\n+ \r\n+OK\r\n+OK 0 0\r\n",
		"-ERR\r\n", "+OK", "\x00\r\n", "+OK\r\n+OK\r\n.\r\n",
	} {
		for _, token := range []bool{false, true} {
			f.Add([]byte(seed), 4096, token)
			f.Add([]byte(seed), 1, token)
		}
	}
	f.Fuzz(func(t *testing.T, said []byte, step int, token bool) {
		o := Options{Server: dial.Server{Scheme: "pop3", Host: "x", Port: "110", Mode: dial.Plain}, Username: "ada", Password: secret.New(canary), MaxOctets: 1 << 16}
		if token {
			o.Password, o.Tokens = secret.Secret{}, always(canary)
		}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		s.connect = func(context.Context) (connection, error) {
			return &tape{said: bytes.NewReader(said), step: min(max(step, 1), 1<<16)}, nil
		}
		mails, err := visit(t.Context(), s)
		for _, m := range mails {
			if len(m) > len(said) {
				t.Errorf("a mail of %d octets came from %d", len(m), len(said))
			}
		}
		if err == nil {
			return
		}
		if text := err.Error(); strings.ContainsAny(strings.ReplaceAll(text, "\n", ""), "\r\x00\x1b") || strings.Contains(text, canary) && !bytes.Contains(said, []byte(canary)) {
			t.Errorf("the error %q is not fit to be shown", text)
		}
		if r := fetcher.RadiusOf(err); r < fetcher.MessageRadius || r > fetcher.AccountRadius {
			t.Errorf("radius %d", r)
		}
	})
}
