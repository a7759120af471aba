package pop3_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/pop3"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// cellMails is how many mails each cell of the matrix has: 50 with POSTFERRY_SOAK.
var cellMails = func() int {
	if os.Getenv("POSTFERRY_SOAK") != "" {
		return 50
	}
	return 15
}()

// cell is a server, a mailbox and a spool, and whoever takes the deliveries.
type cell struct {
	t       *testing.T
	options pop3d.Options
	policy  spool.Policy
	clock   *clock.Fake
	server  *pop3d.Server
	spool   *spool.Spool
	fetcher *fetcher.Fetcher

	mu        sync.Mutex
	delivered map[[32]byte]int
	ids       map[string]bool
	recorded  chan struct{} // a delivery was
	seen      int           // commands of the server
}

func newCell(t *testing.T) *cell {
	return &cell{
		t: t, clock: clock.NewFake(time.Now()), delivered: map[[32]byte]int{}, ids: map[string]bool{}, recorded: make(chan struct{}, 1),
		options: pop3d.Options{Script: pop3d.Script{}}, policy: spool.Policy{Failed: spool.Action{Verb: spool.Keep}},
	}
}

func (c *cell) start() {
	c.options.Deleted = func(mail []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.delivered[sha256.Sum256(mail)] == 0 {
			c.t.Errorf("%.20q was deleted before it was delivered", mail)
		}
	}
	var mails [][]byte
	for i := range cellMails {
		mails = append(mails, fmt.Appendf(nil, "Subject: %d\r\nMessage-ID: <%d@example.com>\r\n\r\nmail %d\r\n.\r\n", i, i, i))
	}
	c.server = pop3d.StartWith(c.t, c.options, mails...)
	store, err := sqlite.Open(c.t.Context(), filepath.Join(memoryDir(c.t), "spool.db"))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.spool, err = spool.Open(c.t.Context(), store, spool.Options{Clock: c.clock}); err != nil {
		c.t.Fatal(err)
	}
	source, err := pop3.New(pop3.Options{
		Server:   dial.Server{Scheme: "pop3", Host: c.server.Host, Port: c.server.Port, Mode: dial.Plain},
		Username: ada, Password: secret.New(password), Clock: c.clock,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.fetcher = fetcher.New(c.spool, []*fetcher.Mailbox{{
		Name: "box", Protocol: "pop3", Account: ada + "@127.0.0.1", Source: source, Boxes: []string{fetcher.Maildrop},
		Backfill: fetcher.Backfill{All: true}, Policy: c.policy, SettleWait: fetcher.MaxSettleWait,
	}}, fetcher.Options{Clock: c.clock})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { c.give(ctx) })
	c.t.Cleanup(func() {
		cancel()
		work.Wait()
		if err := c.spool.Close(); err != nil {
			c.t.Error(err)
		}
	})
}

// memoryDir is a folder in memory where there is such, since what is durable is not
// asked here.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "postferry")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// give routes and delivers until ctx ends.
func (c *cell) give(ctx context.Context) {
	for {
		item, err := c.spool.Next(ctx)
		if err != nil {
			return
		}
		if err := c.spool.Route(ctx, item.ID, spool.Routing{To: []spool.To{{Sink: "app"}}}); err != nil {
			c.t.Error(err)
			return
		}
		claim, err := c.spool.Due(ctx, "app")
		if err != nil {
			return
		}
		c.mu.Lock()
		c.delivered[claim.Item.SHA256]++
		c.ids[claim.Delivery] = true
		c.mu.Unlock()
		err = c.spool.Record(ctx, claim.Item.ID, spool.Outcome{Delivery: claim.Delivery, State: spool.Delivered, Attempt: spool.Attempt{At: c.clock.Now()}})
		if err != nil {
			c.t.Error(err)
			return
		}
		select {
		case c.recorded <- struct{}{}:
		default:
		}
	}
}

// polls looks for mail n times, that long apart, and settles after each. Two hours
// are more than STAT is believed for.
func (c *cell) polls(n int, apart time.Duration) {
	for range n {
		c.fetcher.Once(c.t.Context())
		c.settled()
		c.fetcher.Settle(c.t.Context())
		c.clock.Advance(apart)
	}
}

// settled waits until whatever was taken is delivered.
func (c *cell) settled() {
	c.t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		st, err := c.spool.Status(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		open := 0
		for _, m := range st.Mailboxes {
			open += m.ToRoute
		}
		for _, s := range st.Sinks {
			open += s.Pending
		}
		if open == 0 {
			return
		}
		select {
		case <-c.recorded:
		case <-late.C:
			c.t.Fatalf("%d mails are not delivered after a minute", open)
		}
	}
}

// check wants every mail delivered once, under one id each.
func (c *cell) check(left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.delivered) != cellMails || len(c.ids) != cellMails {
		c.t.Errorf("%d mails were delivered, under %d ids; want %d", len(c.delivered), len(c.ids), cellMails)
	}
	for _, n := range c.delivered {
		if n != 1 {
			c.t.Errorf("a mail was delivered %d times", n)
		}
	}
	if n := c.server.Stored(); n != left {
		c.t.Errorf("%d mails are left at the end, want %d", n, left)
	}
}
