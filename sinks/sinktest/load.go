package sinktest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/backoff"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// Load is a spool full of mails on their way to a sink, whose destination is hurt
// meanwhile.
type Load struct {
	Sink sinks.Sink
	// Hurt takes the destination away, and returns when it is gone. Back brings it
	// back. Between the two every mail is delivered to another sink.
	Hurt, Back func()
	// Stored is what the destination has when all is over: how often, by the
	// delivery's id.
	Stored func() map[string]int
}

// Times is how often the destination of a Load is hurt: twice, or
// POSTFERRY_RESTARTS times.
func Times() int {
	if n, err := strconv.Atoi(os.Getenv("POSTFERRY_RESTARTS")); err == nil && n > 0 {
		return n
	}
	return 2
}

// mailsEach is how many mails are delivered between two hurts.
const mailsEach = 150

// Run delivers mails by a dispatcher from a spool on disk, and hurts the destination
// Times times while they are on their way. It fails the test unless every mail is
// recorded as delivered, every one that is can be found at the destination, and what
// is there besides are repetitions of deliveries under their own ids.
func (l Load) Run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+Times())*5*time.Minute) // the machine may be busy
	defer cancel()
	n := mailsEach * (Times() + 1)
	sp := Filled(t, n)
	defer sp.Close()
	p := newProgress()
	run, stop := context.WithCancel(ctx)
	d := sinks.New(sp, map[string][]sinks.Route{"in": {{To: "hurt"}, {To: "other"}}}, map[string]sinks.Destination{
		"hurt":  {Sink: l.Sink, Concurrency: 8, Retry: backoff.Schedule{Steps: []time.Duration{0, 20 * time.Millisecond, time.Second}, Total: time.Hour}},
		"other": {Sink: Nothing{}, Concurrency: 8},
	}, sinks.Options{Observe: p.observe})
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(run); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	defer running.Wait()
	defer stop()
	for i := range Times() {
		p.await(ctx, t, "hurt", (i+1)*mailsEach)
		l.Hurt()
		p.await(ctx, t, "other", n) // whom it does not concern
		l.Back()
	}
	p.await(ctx, t, "hurt", n)
	stop()
	running.Wait()
	l.compare(t, p, n)
}

// compare is the balance of what was recorded and what is there.
func (l Load) compare(t *testing.T, p *progress, n int) {
	t.Helper()
	stored := l.Stored()
	lost, twice := 0, 0
	for id := range p.delivered["hurt"] {
		if stored[id] == 0 {
			lost++
		}
		twice += max(0, stored[id]-1)
	}
	strangers := 0
	for id := range stored {
		if !p.delivered["hurt"][id] {
			strangers++
		}
	}
	if dead := slices.Sorted(maps.Keys(p.dead)); lost+strangers+len(dead) > 0 {
		t.Errorf("of %d mails %d are recorded as delivered and not there, %d are there under ids that are of no delivery, and dead are %q", n, lost, strangers, dead)
	}
	t.Logf("%d mails, hurt %d times: 0 lost, %d delivered again under their ids, %d attempts failed", n, Times(), twice, p.failed)
}

// progress counts what a dispatcher has recorded.
type progress struct {
	mu        sync.Mutex
	news      chan struct{}
	delivered map[string]map[string]bool // by sink, the deliveries
	dead      map[string]bool
	failed    int
}

func newProgress() *progress {
	return &progress{news: make(chan struct{}), delivered: map[string]map[string]bool{"hurt": {}, "other": {}}, dead: map[string]bool{}}
}

func (p *progress) observe(e sinks.Event) {
	if e.Delivery == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Outcome.State {
	case spool.Delivered:
		p.delivered[e.Sink][e.Delivery] = true
	case spool.Dead:
		p.dead[e.Delivery+": "+e.Outcome.Attempt.Error] = true
	default:
		p.failed++
	}
	close(p.news)
	p.news = make(chan struct{})
}

// await returns once so many deliveries to a sink are over.
func (p *progress) await(ctx context.Context, t *testing.T, sink string, n int) {
	t.Helper()
	for {
		p.mu.Lock()
		over, dead, news := len(p.delivered[sink]), len(p.dead), p.news
		p.mu.Unlock()
		if over+dead >= n {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatalf("%d of %d deliveries to %s are over, %d dead", over, n, sink, dead)
		}
	}
}

// Filled is a spool on disk, with so many mails of 4 KB that were taken from the
// mailbox "in". It is for the caller to close.
func Filled(t testing.TB, n int) *spool.Spool {
	t.Helper()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	sp, err := spool.Open(ctx, store, spool.Options{Retain: 7 * 24 * time.Hour}) // the default of the configuration
	if err != nil {
		t.Fatal(err)
	}
	var taking sync.WaitGroup
	places := make(chan struct{}, 64) // so that commits are shared
	for i := range n {
		places <- struct{}{}
		taking.Go(func() {
			defer func() { <-places }()
			octets, err := sp.Stage(ctx, strings.NewReader(Numbered(i)))
			if err == nil {
				key := spool.BoxKey{Account: "u@mail.example", Box: "INBOX"}
				_, err = sp.Take(ctx, spool.Taken{Mailbox: "in", Protocol: "imap", BoxKey: key, UID: fmt.Sprintf("1/%d", i+1), Octets: octets})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	taking.Wait()
	return sp
}

// Numbered is mail n of 4 KB.
func Numbered(n int) string {
	return fmt.Sprintf("From: a@example.com\r\nSubject: mail %d\r\n\r\n", n) + strings.Repeat("A line of a mail of four kilobytes in all.\r\n", 92)
}

// Nothing takes every mail without a look at it.
type Nothing struct{}

// Deliver implements sinks.Sink.
func (Nothing) Deliver(context.Context, *sinks.Delivery) (sinks.Receipt, error) {
	return sinks.Receipt{Detail: "ok"}, nil
}

// Close implements sinks.Sink.
func (Nothing) Close() error { return nil }
