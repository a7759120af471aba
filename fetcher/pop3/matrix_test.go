package pop3_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// ids are the ways servers give unique-ids.
var ids = []struct {
	name string
	set  func(o *pop3d.Options, session func() int)
}{
	{"unique-ids", func(*pop3d.Options, func() int) {}},
	{"no unique-ids", func(o *pop3d.Options, _ func() int) { o.NoUIDL = true }},
	{"unique-ids shared by two", func(o *pop3d.Options, _ func() int) {
		o.UID = func(i int, _ []byte) string { return fmt.Sprint("pair", i/2) }
	}},
	{"other unique-ids in each session", func(o *pop3d.Options, session func() int) {
		o.UID = func(i int, _ []byte) string { return fmt.Sprint("s", session(), "m", i) }
	}},
	{"unique-ids of 80 characters", func(o *pop3d.Options, _ func() int) {
		o.UID = func(i int, _ []byte) string { return strings.Repeat("x", 78) + fmt.Sprintf("%02d", i) }
	}},
	{"unique-ids of eight bits", func(o *pop3d.Options, _ func() int) {
		o.UID = func(i int, _ []byte) string { return fmt.Sprint("grün", i) }
	}},
}

// policies are what happens to mail on the server.
var policies = []struct {
	name string
	set  func(p *spool.Policy)
}{
	{"delete", func(p *spool.Policy) { p.After = spool.Action{Verb: spool.Delete} }},
	{"keep", func(p *spool.Policy) { p.After = spool.Action{Verb: spool.Keep} }},
	{"delete after 30 days", func(p *spool.Policy) {
		p.After, p.Delay = spool.Action{Verb: spool.Delete}, 30*24*time.Hour
	}},
}

// behaviours are the odd ways of servers. Each heals after a while.
var behaviours = []struct {
	name string
	set  func(o *pop3d.Options)
}{
	{"hides what was retrieved", func(o *pop3d.Options) { o.Hide = true }},
	{"deletes on hang-up", func(o *pop3d.Options) {
		o.CommitOnHangUp = true
		o.Script["RETR 9"] = pop3d.Reply{Cut: true, Times: 2}
	}},
	{"loses the reply to QUIT", func(o *pop3d.Options) { o.Script["QUIT"] = pop3d.Reply{Obeyed: true, Cut: true, Times: 2} }},
	{"refuses QUIT", func(o *pop3d.Options) {
		o.Script["QUIT"] = pop3d.Reply{Octets: "-ERR some deleted messages not removed\r\n", Cut: true, Times: 2}
	}},
	{"is in use", func(o *pop3d.Options) { o.Script["PASS"] = refusal("[IN-USE] locked by another session") }},
	{"has trouble", func(o *pop3d.Options) {
		o.Script["UIDL"], o.Script["LIST"] = refusal("[SYS/TEMP] disk"), refusal("[SYS/TEMP] disk")
	}},
	{"refuses the password", func(o *pop3d.Options) { o.Script["PASS"] = refusal("[AUTH] not now") }},
}

func refusal(text string) pop3d.Reply { return pop3d.Reply{Octets: "-ERR " + text + "\r\n", Times: 2} }

// outcome is how a cell ends: after five polls in a day, and after nine more in
// the six weeks that follow.
type outcome struct {
	early left // after the first five
	left  left // at the end
}

// left is what is on the server.
type left int

const (
	none left = iota
	all
)

func (l left) mails() int { return int(l) * cellMails }

// outcomes are by policy and behaviour; whatever the unique-ids, all mails are
// delivered, each once.
var outcomes = map[string]map[string]outcome{
	"delete": {
		"hides what was retrieved": {none, none}, "deletes on hang-up": {none, none}, "loses the reply to QUIT": {none, none}, "refuses QUIT": {none, none},
		"is in use": {none, none}, "has trouble": {none, none}, "refuses the password": {none, none},
	},
	"keep": {
		"hides what was retrieved": {all, all}, "deletes on hang-up": {all, all}, "loses the reply to QUIT": {all, all}, "refuses QUIT": {all, all},
		"is in use": {all, all}, "has trouble": {all, all}, "refuses the password": {all, all},
	},
	"delete after 30 days": {
		"hides what was retrieved": {all, none}, "deletes on hang-up": {all, none}, "loses the reply to QUIT": {all, none}, "refuses QUIT": {all, none},
		"is in use": {all, none}, "has trouble": {all, none}, "refuses the password": {all, none},
	},
}

// TestMatrix has each policy kept towards each kind of server: nothing is lost,
// nothing is deleted before it is delivered, and nothing is delivered twice.
func TestMatrix(t *testing.T) {
	cells := 0
	for _, id := range ids {
		for _, policy := range policies {
			for _, behaviour := range behaviours {
				cells++
				want, there := outcomes[policy.name][behaviour.name]
				if !there {
					t.Fatalf("no outcome of %s and %s", policy.name, behaviour.name)
				}
				t.Run(id.name+"/"+policy.name+"/"+behaviour.name, func(t *testing.T) {
					t.Parallel()
					c := newCell(t)
					id.set(&c.options, func() int { return c.server.Sessions() })
					policy.set(&c.policy)
					behaviour.set(&c.options)
					c.start()
					c.polls(5, 2*time.Hour)
					if n := c.server.Stored(); n != want.early.mails() {
						t.Errorf("%d mails are left before the 30 days, want %d", n, want.early.mails())
					}
					c.polls(9, 5*24*time.Hour)
					c.check(want.left.mails())
				})
			}
		}
	}
	if cells != 126 {
		t.Errorf("%d cells, want 126", cells)
	}
}

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
