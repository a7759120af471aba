package fetcher_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// waits is how long a test waits for an event; nothing is decided by it.
const waits = 30 * time.Second

// tend runs a fetcher with one IMAP mailbox until the test ends.
func tend(t testing.TB, s *imapd.Server) *spool.Spool {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	sp, err := spool.Open(t.Context(), store, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	source, err := imap.New(imap.Options{
		Server:   dial.Server{Scheme: "imap", Host: s.Host, Port: s.Port, Mode: dial.Plain},
		Username: "ada", Password: secret.New("secret"),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := fetcher.New(sp, []*fetcher.Mailbox{{
		Name: "support", Protocol: "imap", Account: "ada@example.com", Source: source, Boxes: []string{"INBOX"},
		Backfill: fetcher.Backfill{All: true}, Schedule: cron.Every(time.Hour), Idle: true,
		Policy: spool.Policy{After: spool.Action{Verb: spool.Delete}, Failed: spool.Action{Verb: spool.Keep}},
	}}, fetcher.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended; sp.Close() })
	return sp
}

// idling waits until a session is in IDLE.
func idling(t testing.TB, s *imapd.Server) {
	t.Helper()
	for deadline := time.Now().Add(waits); s.Idle() == 0; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("no session is in IDLE")
		}
	}
}

func next(t testing.TB, sp *spool.Spool) *spool.Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waits)
	defer cancel()
	item, err := sp.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := sp.Route(ctx, item.ID, spool.Routing{To: []spool.To{{Sink: "app"}}}); err != nil {
		t.Fatal(err)
	}
	return item
}

func text(i int) []byte { return fmt.Appendf(nil, "Subject: %d\r\n\r\nmail %d\r\n", i, i) }

func TestMailIsTakenAndSettledInOneSession(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, text(0))
	sp := tend(t, s)
	for i := range 4 {
		if i > 0 {
			idling(t, s)
			s.Deliver("INBOX", text(i))
		}
		item := next(t, sp)
		if want := fmt.Sprintf("7/%d", i+1); item.UID != want || !bytes.Equal(item.Octets.Bytes(), text(i)) {
			t.Errorf("mail %d came as %s, %q", i, item.UID, item.Octets.Bytes())
		}
		c, err := sp.Due(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		if err := sp.Record(t.Context(), item.ID, spool.Outcome{Delivery: c.Delivery, State: spool.Delivered}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(waits); len(s.Box("INBOX")) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d mails are left", len(s.Box("INBOX")))
		}
	}
	signedIn := slices.DeleteFunc(s.Commands(), func(c string) bool { return imapd.Keyword(c) != "AUTHENTICATE" })
	if len(signedIn) != 1 {
		t.Errorf("there were %d sign-ins", len(signedIn))
	}
}

func TestAServerStartedAnewIsReturnedTo(t *testing.T) {
	t.Parallel() // it waits as long as a mailbox that has failed
	s := imapd.Start(t, imapd.Options{})
	sp := tend(t, s)
	idling(t, s)
	s.Deliver("INBOX", text(0))
	next(t, sp)
	idling(t, s)
	s.Drop()
	s.Deliver("INBOX", text(1))
	if item := next(t, sp); item.UID != "7/2" {
		t.Errorf("mail %s came", item.UID)
	}
}

func TestARenumberedBoxGivesNoMailTwice(t *testing.T) {
	t.Parallel() // it waits as long as a mailbox that has failed
	s := imapd.Start(t, imapd.Options{}, text(0), text(1))
	sp := tend(t, s)
	next(t, sp)
	next(t, sp)
	idling(t, s)
	s.Renumber("INBOX", 9)
	s.Drop()
	s.Deliver("INBOX", text(2))
	if item := next(t, sp); item.UID != "9/3" || !bytes.Equal(item.Octets.Bytes(), text(2)) {
		t.Errorf("mail %s came: %q", item.UID, item.Octets.Bytes())
	}
}

// BenchmarkNews measures from the server's EXISTS to the mail's being durable and
// offered to be routed.
func BenchmarkNews(b *testing.B) {
	s := imapd.Start(b, imapd.Options{})
	sp := tend(b, s)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		idling(b, s)
		b.StartTimer()
		start := time.Now()
		s.Deliver("INBOX", text(i))
		if _, err := sp.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
