package pop3_test

import (
	"io"
	"net"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/pop3"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/delay"
	"github.com/postferry/postferry/internal/secret"
)

// BenchmarkRetrieve reads one maildrop with this package, with this package in lock
// step (one RETR at a time, as most POP3 clients do), and with loops over go-imap's
// client, that ask for one mail after the other or for all at once; in turns, without
// delay and over a round trip of 20 ms.
func BenchmarkRetrieve(b *testing.B) {
	for _, line := range []struct {
		trip  time.Duration
		mails int
	}{{0, 2000}, {20 * time.Millisecond, 1000}} {
		trip, mails := line.trip, line.mails
		b.Run(trip.String(), func(b *testing.B) {
			d := mailtest.StartDovecot(b)
			d.AddUser(b, ada, password)
			for _, raw := range mailtest.Mix(mails, 1) {
				d.Append(b, ada, "INBOX", raw)
			}
			pop := delay.Start(b, d.POP3Addr(), delay.Options{RoundTrip: trip})
			imap := delay.Start(b, d.IMAPAddr(), delay.Options{RoundTrip: trip})
			ours, lockStep := far(b, pop.Addr, 0), far(b, pop.Addr, 1)
			ways := []struct {
				unit string
				run  func() int
				took time.Duration
			}{
				{"mails/s", func() int { return drain(b, ours) }, 0},
				{"lockstep-mails/s", func() int { return drain(b, lockStep) }, 0},
				{"goimap-loop-mails/s", func() int { return loop(b, imap.Addr, false) }, 0},
				{"goimap-one-fetch-mails/s", func() int { return loop(b, imap.Addr, true) }, 0},
			}
			for b.Loop() {
				for i := range ways {
					start := time.Now()
					if n := ways[i].run(); n != mails {
						b.Fatalf("%s: %d mails came", ways[i].unit, n)
					}
					ways[i].took += time.Since(start)
				}
			}
			for _, w := range ways {
				b.ReportMetric(float64(mails*b.N)/w.took.Seconds(), w.unit)
			}
		})
	}
}

// far is a source behind a proxy.
func far(b *testing.B, addr string, window int) *pop3.Source {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		b.Fatal(err)
	}
	return newSource(b, pop3.Options{
		Server: dial.Server{Scheme: "pop3", Host: host, Port: port, Mode: dial.Plain}, Username: ada, Password: secret.New(password), WindowMails: window,
	})
}

// drain reads all mails.
func drain(b *testing.B, s *pop3.Source) (n int) {
	x, err := s.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	l, err := x.List(b.Context(), fetcher.Maildrop, "")
	if err != nil {
		b.Fatal(err)
	}
	err = x.Retrieve(b.Context(), l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		n++
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// loop is what a careful program does with imapclient: one FETCH for each mail,
// or one for all.
func loop(b *testing.B, addr string, atOnce bool) (n int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	if err := c.Login(ada, password).Wait(); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		b.Fatal(err)
	}
	found, err := c.UIDSearch(&goimap.SearchCriteria{}, nil).Wait()
	if err != nil {
		b.Fatal(err)
	}
	items := &goimap.FetchOptions{UID: true, BodySection: []*goimap.FetchItemBodySection{{Peek: true}}}
	for uids := found.AllUIDs(); len(uids) > 0; {
		k := 1
		if atOnce {
			k = len(uids)
		}
		cmd := c.Fetch(goimap.UIDSetNum(uids[:k]...), items)
		for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
			for item := msg.Next(); item != nil; item = msg.Next() {
				if body, ok := item.(imapclient.FetchItemDataBodySection); ok {
					n++
					io.Copy(io.Discard, body.Literal)
				}
			}
		}
		if err := cmd.Close(); err != nil {
			b.Fatal(err)
		}
		uids = uids[k:]
	}
	return n
}
