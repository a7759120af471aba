package sourcetest

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/tap"
	"github.com/postferry/postferry/internal/secret"
)

// Secured is how RunSecured gets at a protocol.
type Secured struct {
	// Serve starts a server with an empty box, with this certificate: TLS from the
	// first octet (dial.Implicit), after an upgrade in band (dial.StartTLS), or not at
	// all (dial.Plain). Any sign-in succeeds.
	Serve func(t *testing.T, mode dial.Mode, server *tls.Config) (addr string)
	// Source reads that server's box.
	Source func(t *testing.T, server dial.Server, trust dial.TLS, username string, password secret.Secret) fetcher.Source
}

// The credentials that must not be seen on the way.
const (
	securedUser     = "lovelace-canary@example.com"
	securedPassword = `hunter2-"canary"-ß`
)

// RunSecured has servers, and whoever is on the way to one, fail to prove who they
// are, with TLS from the first octet and by an upgrade in band. The source must sign
// in to none of them, say what is wrong in a bounded error, and send no octet of its
// credentials in clear text, in any encoding.
func RunSecured(t *testing.T, p Secured) {
	hider := dial.NewHider(secret.New(securedUser), secret.New(securedPassword))
	for _, way := range []struct {
		name string
		mode dial.Mode
	}{{"TLS from the first octet", dial.Implicit}, {"an upgrade in band", dial.StartTLS}} {
		t.Run(way.name, func(t *testing.T) {
			open := func(t *testing.T, mode dial.Mode, server *tls.Config, trust dial.TLS, hello func(net.Conn, []byte)) ([]byte, error) {
				t.Helper()
				w := tap.Answer(t, p.Serve(t, mode, server), hello)
				at := dial.Server{Scheme: "test", Host: w.Host, Port: w.Port, Mode: mode}
				s, err := p.Source(t, at, trust, securedUser, secret.New(securedPassword)).Open(t.Context())
				if err == nil {
					s.Close()
				}
				return w.Octets(), err
			}
			refused := func(t *testing.T, seen []byte, err error, says string) {
				t.Helper()
				if err == nil {
					t.Fatal("the source signed in")
				}
				if fetcher.RadiusOf(err) != fetcher.SessionRadius || fetcher.CauseOf(err) != fetcher.Untrusted {
					t.Errorf("radius %d, cause %d of %v; want %d, %d", fetcher.RadiusOf(err), fetcher.CauseOf(err), err, fetcher.SessionRadius, fetcher.Untrusted)
				}
				if text := err.Error(); !strings.Contains(text, says) || len(text) > 4*dial.MaxText || strings.ContainsAny(text, "\r\n\x00\x1b") {
					t.Errorf("error of %d octets %q, want %q in it", len(text), text, says)
				}
				if hider.Holds(string(seen)) {
					t.Errorf("credentials went in clear text: %q", seen)
				}
				if len(seen) == 0 {
					t.Error("nothing was seen on the way")
				}
			}

			t.Run("a certificate that is trusted is signed in to, unseen", func(t *testing.T) {
				a := newAuthority(t)
				seen, err := open(t, way.mode, a.server(t, nil), dial.TLS{CAFile: a.file}, nil)
				if err != nil || hider.Holds(string(seen)) || len(seen) == 0 {
					t.Errorf("error %v; %d octets were seen, with credentials: %v", err, len(seen), hider.Holds(string(seen)))
				}
			})
			t.Run("without TLS the search finds the credentials", func(t *testing.T) {
				seen, err := open(t, dial.Plain, nil, dial.TLS{}, nil)
				if err != nil || !hider.Holds(string(seen)) {
					t.Errorf("error %v; nothing was found in %q", err, seen)
				}
			})
			for _, c := range certificates {
				t.Run(c.fact, func(t *testing.T) {
					a := newAuthority(t)
					server, trust := c.make(t, a)
					seen, err := open(t, way.mode, server, trust, nil)
					refused(t, seen, err, c.says)
				})
			}
			for _, c := range handshakes {
				t.Run(c.fact, func(t *testing.T) {
					a := newAuthority(t)
					seen, err := open(t, way.mode, a.server(t, nil), dial.TLS{CAFile: a.file}, func(client net.Conn, hello []byte) {
						client.SetDeadline(time.Now().Add(patience))
						c.answer(client, hello)
					})
					refused(t, seen, err, c.says)
				})
			}
		})
	}
}

// handshakes are what answers a client's TLS in the server's place.
var handshakes = []struct {
	fact   string
	answer func(client net.Conn, hello []byte)
	says   string
}{
	{"the handshake is answered in the clear text of IMAP", saying("* OK [CAPABILITY IMAP4rev1] signed in already\r\n"), "does not look like a TLS handshake"},
	{"the handshake is answered in the clear text of POP3", saying("+OK signed in already\r\n"), "does not look like a TLS handshake"},
	{"the handshake is answered by a web server", saying("HTTP/1.1 400 Bad Request\r\n\r\n"), "does not look like a TLS handshake"},
	{"the handshake is answered by one octet", saying("\x16"), "EOF"},
	{"the handshake is answered by nothing", saying(""), "EOF"},
	{"the handshake is sent back", func(client net.Conn, hello []byte) { client.Write(hello) }, "unexpected handshake message"},
	{"the handshake is refused by an alert", saying("\x15\x03\x03\x00\x02\x02\x28"), "handshake failure"},
	{"the handshake ends with close_notify", saying("\x15\x03\x03\x00\x02\x01\x00"), "EOF"},
	{"warnings without an end", again("\x15\x03\x03\x00\x02\x01\x5a"), "too many"},
	{"empty records without an end", again("\x16\x03\x03\x00\x00"), "unexpected message"},
	{"a record longer than TLS allows", saying("\x16\x03\x03\xff\xff" + strings.Repeat("x", 100)), "oversized"},
	{"a message of 16 MB announced", saying("\x16\x03\x03\x00\x04\x02\xff\xff\xff"), "exceeds maximum"},
	{"data in place of the handshake", saying("\x17\x03\x03\x00\x06* OK\r\n"), "does not look like a TLS handshake"},
	{"an SSL 3.0 hello", saying("\x16\x03\x00\x00\x2a\x02\x00\x00\x26\x03\x00" + strings.Repeat("x", 32) + "\x00\x00\x2f\x00"), "protocol version"},
}

func saying(octets string) func(net.Conn, []byte) {
	return func(client net.Conn, _ []byte) { client.Write([]byte(octets)) }
}

// again repeats octets until the client goes away.
func again(octets string) func(net.Conn, []byte) {
	chunk := bytes.Repeat([]byte(octets), 1000)
	return func(client net.Conn, _ []byte) {
		for {
			if _, err := client.Write(chunk); err != nil {
				return
			}
		}
	}
}

// pemFile writes a file of the test's own.
func pemFile(t *testing.T, name string, parts ...[]byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, slices.Concat(parts...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
