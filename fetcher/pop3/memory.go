package pop3

import (
	"errors"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// relist is how long a maildrop is believed to be unchanged because STAT says so.
	relist = time.Hour
	// boundFor is how long a bound learned from the server holds before more is
	// tried.
	boundFor = 24 * time.Hour
	// samples is by how many of its mails a listing is remembered.
	samples = 8
)

// memory is what a source remembers of its server from one session to the next,
// and may forget.
type memory struct {
	mu sync.Mutex

	count, octets int       // as STAT said at the last listing, less what was deleted since; -1: not known
	sample        []string  // some UIDs of it
	concluded     time.Time // when nothing of that was left to take; zero: something may be

	cuts  int // sessions in a row that the server closed after it had given or marked some mails
	moved int // the fewest mails in those
	most  int // mails in one session; 0: no bound
	since time.Time
}

// Conclude implements fetcher.Concluder.
func (x *session) Conclude(string) {
	if x.numbers == nil {
		return
	}
	m := &x.src.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	m.concluded = x.src.o.Clock.Now()
}

// listed notes a listing.
func (m *memory) listed(x *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count, m.octets = x.count, x.octets
}

// renamed reports that a listing has none of the mails by which the one before it is
// remembered, and remembers this one.
func (m *memory) renamed(x *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := func(uid string) bool { _, ok := x.numbers[uid]; return ok }
	all := len(m.sample) > 0 && len(x.order) > 0 && !slices.ContainsFunc(m.sample, there)
	m.sample = m.sample[:0]
	for i := range min(len(x.order), samples) {
		m.sample = append(m.sample, x.order[i*len(x.order)/min(len(x.order), samples)])
	}
	return all
}

// unchanged reports that STAT says what it said at the last conclusion.
func (m *memory) unchanged(x *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.concluded.IsZero() && x.src.o.Clock.Now().Sub(m.concluded) < relist && m.count == x.count && m.octets == x.octets
}

// forget has the next session list everything.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.concluded = time.Time{}
}

// deleting notes that the maildrop may not be what it was.
func (m *memory) deleting() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count = -1
}

// deleted notes what is left once the server has confirmed it.
func (m *memory) deleted(x *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.marked > 0 {
		m.count, m.octets = x.count-x.marked, x.octets-x.markedOctets
	}
}

// Most implements fetcher.Bounded.
func (x *session) Most() int {
	m := &x.src.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.most > 0 && x.src.o.Clock.Now().Sub(m.since) >= boundFor {
		m.most, m.cuts = 0, 0
	}
	return m.most
}

// cut notes a session that the server closed in mid-way. After the second in a row
// it is taken for a limit of the server's: sessions then have half of what was got
// through, since each mail may be retrieved and marked.
func (m *memory) cut(x *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.moved == 0 {
		return
	}
	if m.cuts++; m.cuts == 1 || x.moved < m.moved {
		m.moved = x.moved
	}
	if m.cuts == 1 {
		return
	}
	m.most, m.since = max(1, m.moved/2), x.src.o.Clock.Now()
	x.src.o.Logger.Info("the server closes sessions early, fewer mails are taken in each", "server", x.src.o.Server.Address(), "mails", m.most)
}

// ended notes a session that ended well. One that got further than those that were
// cut says that there is no limit.
func (m *memory) ended(x *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.moved > m.moved {
		m.cuts = 0
	}
}

// hungUp reports that the server closed the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
