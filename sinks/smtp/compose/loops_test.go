package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// post carries mail between mailboxes, each in an instant, as the world's mail
// servers would. Every mail that is given to it counts.
type post struct {
	t     *testing.T
	mu    sync.Mutex
	boxes map[string]func(from string, raw []byte)
	mails []time.Time
}

// give is what an SMTP server does with a mail: it notes the reverse-path and its
// own passing, and puts the mail in the mailbox of each recipient.
func (p *post) give(m *Mail) {
	var b bytes.Buffer
	if err := m.WriteTo(&b, Offers{}); err != nil {
		p.t.Error(err)
	}
	for _, to := range m.To {
		p.deliver(m.From, to, b.Bytes())
	}
}

func (p *post) deliver(from, to string, raw []byte) {
	p.mu.Lock()
	p.mails = append(p.mails, time.Now())
	box := p.boxes[to]
	if len(p.mails) > 3000 { // enough to see that there is no end
		box = nil
	}
	p.mu.Unlock()
	if box != nil {
		box(from, fmt.Appendf(nil, "Return-Path: <%s>\r\nReceived: from a by b; %s\r\n%s", from, time.Now().Format(time.RFC1123Z), raw))
	}
}

// sent are the mails that went through the post within the last while.
func (p *post) sent(within time.Duration) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.mails {
		if time.Since(at) < within {
			n++
		}
	}
	return n
}

// ferry is a postferry: a store, a dispatcher and one smtp sink.
type ferry struct {
	t       *testing.T
	post    *post
	address string
	path    string
	c       *Composer
	spool   *spool.Spool
	n       int
	stop    func()
}

func newFerry(t *testing.T, p *post, path, address string, change func(*Options)) *ferry {
	f := &ferry{t: t, post: p, address: address, path: filepath.Join(path, address+".db"), c: composer(t, change)}
	p.mu.Lock()
	p.boxes[address] = f.take
	p.mu.Unlock()
	f.start()
	return f
}

func (f *ferry) start() {
	store, err := sqlite.Open(context.Background(), f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	if f.spool, err = spool.Open(context.Background(), store, spool.Options{Retain: 30 * 24 * time.Hour}); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := sinks.New(f.spool, map[string][]sinks.Route{"box": {{To: "desk"}}}, map[string]sinks.Destination{"desk": {Sink: f}}, sinks.Options{})
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	f.stop = func() {
		cancel()
		if err := errors.Join(<-done, f.spool.Close()); err != nil {
			f.t.Error(err)
		}
	}
}

// restart is the next process.
func (f *ferry) restart() {
	f.stop()
	f.start()
}

func (f *ferry) take(_ string, raw []byte) {
	ctx := context.Background()
	octets, err := f.spool.Stage(ctx, bytes.NewReader(raw))
	if err == nil {
		f.n++
		_, err = f.spool.Take(ctx, spool.Taken{Mailbox: "box", Protocol: "imap", BoxKey: spool.BoxKey{Account: f.address + "@imap.example", Box: "INBOX"}, UID: fmt.Sprint("1/", f.n), ReceivedAt: time.Now(), Octets: octets, Policy: spool.Policy{After: spool.Action{Verb: spool.Keep}, Failed: spool.Action{Verb: spool.Keep}}})
	}
	if err != nil {
		f.t.Error(err)
	}
}

// Deliver implements sinks.Sink as the smtp sink does.
func (f *ferry) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	m, err := f.c.Compose(ctx, d, nil)
	var w *Withheld
	if errors.As(err, &w) {
		return sinks.Receipt{Detail: w.Error()}, nil
	}
	if err != nil {
		return sinks.Receipt{}, err
	}
	f.post.give(m)
	return sinks.Receipt{Detail: "250"}, nil
}

func (f *ferry) Close() error { return nil }

// simulated runs a test in a bubble where a day is an instant.
func simulated(t *testing.T, test func(t *testing.T, p *post, dir string)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		test(t, &post{t: t, boxes: map[string]func(string, []byte){}}, dir)
	})
}

// first is the mail that may begin a loop.
func first(from, to string) []byte {
	return []byte("From: " + from + "\r\nTo: " + to + "\r\nSubject: hello\r\nMessage-ID: <first@x.example>\r\n\r\nhello\r\n")
}

const day = 24 * time.Hour

func TestTwoThatAcknowledgeEachOtherExchangeTwoMailsAtMost(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"with all guards":           func(o *Options) { o.Action = Acknowledge },
		"replying, guards of loops": func(o *Options) { o.Action, o.Text, o.Guards = Reply, "thanks", "loops" },
		"without the null path":     func(o *Options) { o.Action, o.Envelope, o.Guards = Acknowledge, "bounces@example.com", "loops" },
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, p *post, dir string) {
				a, b := newFerry(t, p, dir, "a@one.example", change), newFerry(t, p, dir, "b@two.example", change)
				p.deliver("a@one.example", "b@two.example", first("a@one.example", "b@two.example"))
				time.Sleep(day / 2)
				a.restart()
				b.restart()
				time.Sleep(day / 2)
				// The first was no answer: what the two say to each other follows it.
				if n := p.sent(2*day) - 1; n < 1 || n > 2 {
					t.Errorf("%d mails were exchanged", n)
				}
				a.stop()
				b.stop()
			})
		})
	}
}

// echo answers every mail at once, to where it came from, without any field that
// tells it is a program.
func echo(p *post, address func(n int) string, to string) func(string, []byte) {
	n := 0
	return func(_ string, raw []byte) {
		_, subject, _ := strings.Cut(string(raw), "\r\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		n++
		me := address(n)
		p.mu.Lock()
		p.boxes[me] = p.boxes["bot@robots.example"]
		p.mu.Unlock()
		go p.deliver(me, to, fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: Re: %s\r\nMessage-ID: <%d@robots.example>\r\n\r\nyou wrote to me\r\n", me, to, subject, n))
	}
}

func TestRobotThatEchoesGetsOneAcknowledgement(t *testing.T) {
	simulated(t, func(t *testing.T, p *post, dir string) {
		a := newFerry(t, p, dir, "a@one.example", func(o *Options) { o.Action = Acknowledge })
		p.boxes["bot@robots.example"] = echo(p, func(int) string { return "bot@robots.example" }, "a@one.example")
		p.deliver("bot@robots.example", "a@one.example", first("bot@robots.example", "a@one.example"))
		time.Sleep(day)
		if n := p.sent(2*day) - 1; n != 2 { // the acknowledgement, and the robot's answer to it
			t.Errorf("%d mails were exchanged", n)
		}
		a.stop()
	})
}

func TestRobotThatChangesItsAddressGetsTenAnswersAnHour(t *testing.T) {
	for _, action := range []string{Acknowledge, Reply} {
		simulated(t, func(t *testing.T, p *post, dir string) {
			a := newFerry(t, p, dir, "a@one.example", func(o *Options) { o.Action, o.Text = action, "thanks" })
			p.boxes["bot@robots.example"] = echo(p, func(n int) string { return fmt.Sprint("bot", n, "@robots.example") }, "a@one.example")
			p.deliver("bot@robots.example", "a@one.example", first("bot@robots.example", "a@one.example"))
			for hour, before := 0, 0; hour < 24; hour++ {
				time.Sleep(time.Hour)
				all := p.sent(2 * day)
				if answers := (all - before) / 2; answers > 10 || hour == 0 && answers < 10 {
					t.Errorf("%s: %d answers in hour %d", action, answers, hour)
				}
				before = all
			}
			a.stop()
		})
	}
}

func TestRingOfForwardsEndsWhereItBegan(t *testing.T) {
	for _, action := range []string{Forward, Redirect} {
		simulated(t, func(t *testing.T, p *post, dir string) {
			ring := []string{"a@one.example", "b@two.example", "c@three.example"}
			var all []*ferry
			for i, address := range ring {
				all = append(all, newFerry(t, p, dir, address, func(o *Options) { o.Action, o.To = action, []string{ring[(i+1)%3]} }))
			}
			p.deliver("x@x.example", ring[0], first("x@x.example", ring[0]))
			time.Sleep(day)
			if n := p.sent(2*day) - 1; n != 3 {
				t.Errorf("%s: %d mails went round", action, n)
			}
			st, err := all[0].spool.Status(context.Background())
			if err != nil || len(st.Sinks) != 1 || st.Sinks[0].Dead != 1 {
				t.Errorf("%s: the mail that came back is not a dead letter: %+v, %v", action, st.Sinks, err)
			}
			for _, f := range all {
				f.stop()
			}
		})
	}
}

func TestCircuitBreakerHoldsTheSinkAndSaysWhy(t *testing.T) {
	simulated(t, func(t *testing.T, p *post, dir string) {
		a := newFerry(t, p, dir, "a@one.example", func(o *Options) { o.Action, o.Limits.InAll = Acknowledge, config.Rate{Count: 20, Per: time.Hour} })
		for i := range 30 {
			from := fmt.Sprint("p", i, "@customer.example")
			a.take(from, []byte(strings.Replace(string(first(from, "a@one.example")), "hello", fmt.Sprint("matter ", i), 1)))
		}
		time.Sleep(30 * time.Minute)
		st, err := a.spool.Status(context.Background())
		if err != nil || len(st.Sinks) != 1 {
			t.Fatalf("%+v, %v", st.Sinks, err)
		}
		if s := st.Sinks[0]; s.Delivered != 20 || s.Pending+s.Deferred != 10 || !strings.HasPrefix(s.Held, "circuit breaker: the sink has sent 20/h") || s.Dead != 0 {
			t.Errorf("the sink is %+v", s)
		}
		time.Sleep(2 * time.Hour)
		if st, err = a.spool.Status(context.Background()); err != nil || st.Sinks[0].Delivered != 30 || st.Sinks[0].Held != "" {
			t.Errorf("later it is %+v, %v", st.Sinks, err)
		}
		a.stop()
	})
}
