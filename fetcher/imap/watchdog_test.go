package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// noticed is within what time any stall must be noticed.
const noticed = 5*time.Minute + 30*time.Second

// rig is a server, a mailbox that waits on it in IDLE, and what was taken, all in
// the time of a bubble.
type rig struct {
	t  *testing.T
	s  *imapd.Server
	sp *spool.Spool

	mu     sync.Mutex
	link   *link // the last connection
	events []fetcher.Event
	drip   time.Duration // of further connections
}

// link is a connection that a NAT on the way may drop without a word.
type link struct {
	net.Conn
	gone chan struct{} // closed: what is written vanishes, and nothing comes
	once sync.Once
	drip time.Duration // between the octets of a mail
	mail bool          // a mail is coming
}

func (l *link) drop() { l.once.Do(func() { close(l.gone) }) }

func (l *link) Read(p []byte) (int, error) {
	if l.mail && l.drip > 0 {
		time.Sleep(l.drip)
		p = p[:1]
	}
	n, err := l.Conn.Read(p)
	l.mail = l.mail || bytes.Contains(p[:n], []byte("BODY[]"))
	select {
	case <-l.gone:
		if err == nil { // it came after the NAT had forgotten the connection
			return l.Read(p)
		}
	default:
	}
	return n, err
}

func (l *link) Write(p []byte) (int, error) {
	select {
	case <-l.gone:
		return len(p), nil
	default:
		return l.Conn.Write(p)
	}
}

func (*link) Upgrade(context.Context, *tls.Config, ...byte) error { return errors.New("no TLS here") }
func (*link) SetReadTimeout(time.Duration)                        {}

// stall runs test in a bubble, with a mailbox whose schedule is too slow to help.
func stall(t *testing.T, o imapd.Options, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, s: imapd.New(o)}
		source, err := New(Options{
			Server: dial.Server{Scheme: "imap", Host: "127.0.0.1", Port: "1", Mode: dial.Plain}, Username: "ada", Password: secret.New(canary),
		})
		if err != nil {
			t.Fatal(err)
		}
		source.connect = func(context.Context) (connection, error) {
			ours, theirs := net.Pipe()
			r.s.Serve(theirs)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.link = &link{Conn: ours, gone: make(chan struct{}), drip: r.drip}
			return r.link, nil
		}
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "spool.db"))
		if err != nil {
			t.Fatal(err)
		}
		if r.sp, err = spool.Open(t.Context(), store, spool.Options{}); err != nil {
			t.Fatal(err)
		}
		m := &fetcher.Mailbox{
			Name: "support", Protocol: "imap", Account: "ada@example.com", Source: source, Boxes: []string{"INBOX"}, Idle: true,
			Backfill: fetcher.Backfill{All: true}, Schedule: hourly{}, Policy: spool.Policy{After: spool.Action{Verb: spool.Keep}, Failed: spool.Action{Verb: spool.Keep}},
		}
		f := fetcher.New(r.sp, []*fetcher.Mailbox{m}, fetcher.Options{Observe: func(e fetcher.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { f.Run(ctx) })
		r.settle()
		test(r)
		cancel()
		running.Wait()
		r.s.Stop()
		if err := r.sp.Close(); err != nil {
			t.Error(err)
		}
	})
}

type hourly struct{}

func (hourly) Next(after time.Time) time.Time { return after.Add(time.Hour) }

// settle lets everything happen that needs no time.
func (r *rig) settle() {
	synctest.Wait()
}

func (r *rig) status() spool.MailboxStatus {
	r.t.Helper()
	st, err := r.sp.Status(r.t.Context())
	if err != nil || len(st.Mailboxes) != 1 {
		r.t.Fatalf("status %+v, %v", st, err)
	}
	return st.Mailboxes[0]
}

// takes waits until n mails are taken, and returns how long that took.
func (r *rig) takes(n int) time.Duration {
	r.t.Helper()
	start := time.Now()
	for r.settle(); r.status().Taken != n; r.settle() {
		if time.Since(start) > time.Hour {
			r.t.Fatalf("%d mails were taken within an hour, want %d", r.status().Taken, n)
		}
		time.Sleep(time.Second)
	}
	return time.Since(start)
}

// happened are the events so far, without their errors.
func (r *rig) happened() (what []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		what = append(what, string(e.What))
	}
	return what
}

func (r *rig) wantEvents(want, says string) {
	r.t.Helper()
	if got := strings.Join(r.happened(), " "); got != want {
		r.t.Errorf("events %q, want %q", got, want)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Err != nil && !strings.Contains(e.Err.Error(), says) {
			r.t.Errorf("event %s says %q, want %q in it", e.What, e.Err, says)
		}
	}
}

func aMail(n int) []byte { return fmt.Appendf(nil, "Subject: %d\r\n\r\nbody %d\r\n", n, n) }

func TestAServerThatTakesIDLEAndSaysNothingIsLookedAtInTime(t *testing.T) {
	stall(t, imapd.Options{}, func(r *rig) {
		for n := 1; n <= 12; n++ {
			r.s.Slip("INBOX", aMail(n))
			if d := r.takes(n); d > noticed {
				t.Errorf("mail %d was taken after %v", n, d)
			}
		}
		r.wantEvents("", "")
		if n := r.s.Sessions(); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestAConnectionThatANATHasForgottenIsFoundDeadAndReplaced(t *testing.T) {
	stall(t, imapd.Options{}, func(r *rig) {
		r.mu.Lock()
		dead := r.link
		r.mu.Unlock()
		dead.drop()
		r.s.Deliver("INBOX", aMail(1))
		start := time.Now()
		for r.settle(); len(r.happened()) == 0; r.settle() {
			time.Sleep(time.Second)
		}
		if d := time.Since(start); d > noticed {
			t.Errorf("it was noticed after %v", d)
		}
		r.wantEvents("lost", "no answer within 30s")
		if said := r.status().Error; !strings.Contains(said, "no answer within 30s") {
			t.Errorf("status says %q", said)
		}
		if d := r.takes(1); d > 15*time.Second {
			t.Errorf("the mail was taken %v after that", d)
		}
		r.settle()
		r.wantEvents("lost recovered", "no answer within 30s")
		if said := r.status().Error; said != "" {
			t.Errorf("status still says %q", said)
		}
	})
}

func TestABodyThatDoesNotComeIsAskedForAgain(t *testing.T) {
	for name, half := range map[string]imapd.Reply{
		"nothing of it":          imapd.Silence(""),
		"the first octets of it": imapd.Silence("* 1 FETCH (UID 1 BODY[] {22}\r\nSubj"),
	} {
		t.Run(name, func(t *testing.T) {
			stall(t, imapd.Options{Script: imapd.Script{"UID FETCH BODY": imapd.First(half)}}, func(r *rig) {
				r.s.Deliver("INBOX", aMail(1))
				if d := r.takes(1); d > noticed {
					t.Errorf("it was taken after %v", d)
				}
				r.settle()
				r.wantEvents("failed recovered", "no answer within 1m0s")
			})
		})
	}
}

// A server that sends an octet of a mail now and then keeps the connection from
// being silent, and must not hold the mailbox by it.
func TestAServerThatDripsIsLeftInTime(t *testing.T) {
	large := []byte("Subject: large\r\n\r\n" + strings.Repeat("x", 100_000) + "\r\n")
	stall(t, imapd.Options{}, func(r *rig) {
		r.mu.Lock()
		r.drip = 30 * time.Second
		r.link.drip = r.drip
		r.mu.Unlock()
		r.s.Slip("INBOX", large)
		start := time.Now()
		for r.settle(); len(r.happened()) == 0; r.settle() {
			time.Sleep(time.Second)
		}
		// Until the next look, and then for as long as a drip is borne.
		if d := time.Since(start); d > 5*time.Minute+noticed {
			t.Errorf("it was noticed after %v", d)
		}
		r.wantEvents("failed", "no more than 65536 octets within 4m0s")
		r.mu.Lock()
		r.drip = 0
		r.mu.Unlock()
		if d := r.takes(1); d > noticed {
			t.Errorf("the mail was taken %v after the server went on", d)
		}
	})
}

// Servers whose indexes are behind say wrong things of their mails for a while.
func TestServersThatCountOrNameWrongForAWhileLoseNothing(t *testing.T) {
	replace := func(old, text string) func(string, string) string {
		return func(_, answer string) string { return strings.ReplaceAll(answer, old, text) }
	}
	for name, twist := range map[string]func(command, answer string) string{
		"SEARCH leaves a mail out":      replace("UID ALL 1,2,3\r\n", "UID ALL 1,3\r\n"),
		"EXISTS shrinks":                replace("* 3 EXISTS", "* 2 EXISTS"),
		"UIDNEXT goes backwards":        replace("[UIDNEXT 4]", "[UIDNEXT 2]"),
		"FETCH answers with other UIDs": replace("FETCH (UID 2 BODY[]", "FETCH (UID 9 BODY[]"),
		"the body is empty":             replace("(UID 2 BODY[] {22}\r\n"+string(aMail(2)), "(UID 2 BODY[] {0}\r\n"),
		"the body is NIL":               replace("(UID 2 BODY[] {22}\r\n"+string(aMail(2)), "(UID 2 BODY[] NIL"),
		"the mail is not described":     replace("UID 2 FLAGS", "UID 9 FLAGS"),
	} {
		t.Run(name, func(t *testing.T) {
			stall(t, imapd.Options{}, func(r *rig) {
				r.s.Twist(twist)
				r.s.Deliver("INBOX", aMail(1), aMail(2), aMail(3))
				time.Sleep(10 * time.Minute)
				r.s.Twist(nil)
				if d := r.takes(3); d > noticed {
					t.Errorf("the mails were taken %v after the server came to its senses", d)
				}
				time.Sleep(time.Hour)
				r.settle()
				if st := r.status(); st.Taken != 3 || st.Known != 3 {
					t.Errorf("%d mails taken, %d known", st.Taken, st.Known)
				}
			})
		})
	}
}
