package demo

import (
	"bufio"
	"net"
	"strconv"
	"sync"
	"time"
)

// The times a POP3 client has.
const (
	signIn     = 30 * time.Second // from connecting to being signed in
	autologout = 10 * time.Minute // between commands: RFC 1939 section 3, at the least
	replying   = time.Minute      // for taking in the reply to one command
)

// pop3Server serves one maildrop (RFC 1939 with RFC 2449).
type pop3Server struct {
	account Account
	drop    *maildrop
	work    sync.WaitGroup
}

// serve returns when l is closed and every session has ended.
func (s *pop3Server) serve(l net.Listener) error {
	defer s.work.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		s.work.Go(func() { s.session(c) })
	}
}

// session serves one client to its end.
func (s *pop3Server) session(c net.Conn) {
	defer c.Close()
	x := &pop3Session{server: s, conn: c, r: bufio.NewReaderSize(c, 4096), w: bufio.NewWriter(c)}
	defer x.leave()
	x.run()
}

// maildrop holds mails. One session at a time has it (RFC 1939 section 4).
type maildrop struct {
	mu     sync.Mutex
	mails  []*stored
	last   int
	locked bool
}

// stored is a mail and its unique-id.
type stored struct {
	uid string
	raw []byte
}

// add puts a mail in. A session that is open does not see it.
func (d *maildrop) add(raw []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.mails = append(d.mails, &stored{uid: "demo-" + strconv.Itoa(d.last), raw: raw})
}

// lock gives the mails to one session; false if another has them.
func (d *maildrop) lock() ([]*stored, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, false
	}
	d.locked = true
	return append([]*stored(nil), d.mails...), true
}

// unlock ends the session's hold and removes the mails it deleted.
func (d *maildrop) unlock(deleted map[*stored]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := make([]*stored, 0, len(d.mails))
	for _, m := range d.mails {
		if !deleted[m] {
			kept = append(kept, m)
		}
	}
	d.mails, d.locked = kept, false
}
