package imap_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/mailtest"
)

// BenchmarkRetrieve reads one box with this package and with a loop over
// imapclient alone that asks for each mail when it has the one before, in turns,
// and reports both.
func BenchmarkRetrieve(b *testing.B) {
	const mails = 2000
	d := mailtest.StartDovecot(b)
	d.AddUser(b, ada, password)
	for _, raw := range mailtest.Mix(mails, 1) {
		d.Append(b, ada, "INBOX", raw)
	}
	s := newSource(b, dovecotOptions(b, d, "imap", true))
	drainAll(b, s) // Dovecot makes its indexes
	var ours, theirs, whole time.Duration
	for b.Loop() {
		start := time.Now()
		if n := drainAll(b, s); n != mails {
			b.Fatalf("%d mails came", n)
		}
		ours += time.Since(start)
		start = time.Now()
		if n := loop(b, d.IMAPAddr(), nil, false); n != mails {
			b.Fatalf("%d mails came to the loop", n)
		}
		theirs += time.Since(start)
		start = time.Now()
		if n := loop(b, d.IMAPAddr(), nil, true); n != mails {
			b.Fatalf("%d mails came to the loop", n)
		}
		whole += time.Since(start)
	}
	total := float64(mails * b.N)
	b.ReportMetric(total/ours.Seconds(), "mails/s")
	b.ReportMetric(total/theirs.Seconds(), "loop-mails/s")
	b.ReportMetric(total/whole.Seconds(), "one-fetch-mails/s")
}

// BenchmarkUnchanged polls a box of 100,000 mails that stands as it was: connect,
// sign in, look, sign out; and once more with one mail more, which lists it whole.
func BenchmarkUnchanged(b *testing.B) {
	const mails = 100_000
	d := mailtest.StartDovecot(b)
	d.AddUser(b, ada, password)
	for range mails {
		d.Append(b, ada, "INBOX", []byte("Subject: one of many\r\n\r\nbody\r\n"))
	}
	s := newSource(b, dovecotOptions(b, d, "imaps", false))
	poll := func() fetcher.Listing {
		x, err := s.Open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer x.Close()
		l, err := x.List(b.Context(), "INBOX", "")
		if err != nil {
			b.Fatal(err)
		}
		x.(fetcher.Concluder).Conclude("INBOX")
		return l
	}
	start := time.Now()
	if l := poll(); len(l.Refs) != mails { // Dovecot makes its indexes
		b.Fatalf("%d mails", len(l.Refs))
	}
	whole := time.Since(start)
	poll() // the first listing may have met a box that Dovecot was still indexing
	for b.Loop() {
		if l := poll(); !l.Unchanged {
			b.Fatal("the box was listed whole")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/poll")
	b.ReportMetric(float64(whole.Milliseconds()), "first-ms")
	d.Append(b, ada, "INBOX", []byte("Subject: one more\r\n\r\nbody\r\n"))
	start = time.Now()
	if l := poll(); len(l.Refs) != mails+1 {
		b.Fatalf("%d mails", len(l.Refs))
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "one-more-ms")
}

func drainAll(b *testing.B, s fetcher.Source) (n int) {
	ctx := context.Background()
	x, err := s.Open(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	l, err := x.List(ctx, "INBOX", "")
	if err != nil {
		b.Fatal(err)
	}
	for refs := l.Refs; len(refs) > 0; {
		k := min(512, len(refs))
		err = x.Retrieve(ctx, refs[:k], func(_ fetcher.Ref, r io.Reader) error {
			n++
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		refs = refs[k:]
	}
	return n
}

// loop is what a careful program does with imapclient: one FETCH for each mail,
// or one for all.
func loop(b *testing.B, addr string, config *tls.Config, atOnce bool) (n int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	if config != nil {
		conn = tls.Client(conn, config)
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
	items := &goimap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true, BodySection: []*goimap.FetchItemBodySection{{Peek: true}}}
	uids := found.AllUIDs()
	for len(uids) > 0 {
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
