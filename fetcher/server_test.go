package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// server is a mail server in memory. Its zero value holds nothing and refuses
// nothing.
type server struct {
	mu       sync.Mutex
	boxes    map[string][]*stored
	lasting  bool                         // sessions can wait, and go on after Settle
	undated  bool                         // listings leave sizes and times out
	refuse   error                        // Open returns it
	broken   map[string]error             // List of a box returns it
	poison   map[string]error             // Retrieve of a UID reports it
	decline  func(spool.Settlement) error // what Settle reports
	breaks   chan struct{}                // ends every Wait with an error, when closed
	restless bool                         // Wait returns at once
	headless string                       // the head of this UID is not given; "all": of none
	headed   []string                     // UIDs whose head was asked for
	news     chan struct{}
	opened   []time.Time
	listed   []time.Time
	open     int
	most     int      // sessions open at a time
	got      []string // UIDs retrieved
	settled  []spool.Settlement
	aboutMe  int // calls of Describe
	watched  []string
	// What names of boxes stand for; nil: themselves. unnamed is Boxes' error.
	named      map[string][]string
	unnamed    error
	identified int // mails that Identify was asked about
}

// stored is one mail.
type stored struct {
	uid      string
	octets   string
	at       time.Time
	excluded bool
	same     string // what Identify tells
}

func (s *server) add(box string, mails ...*stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.boxes == nil {
		s.boxes = map[string][]*stored{}
	}
	s.boxes[box] = append(s.boxes[box], mails...)
}

// mail is one mail with the UID in its text.
func mail(uid string) *stored {
	return &stored{uid: uid, octets: "Subject: " + uid + "\r\n\r\n" + uid + "\r\n"}
}

// mailAs is one mail that is known in other boxes too.
func mailAs(uid, same string) *stored {
	return &stored{uid: uid, octets: "Subject: " + same + "\r\n\r\n", same: same}
}

// renew makes the channels.
func (s *server) renew() { s.news, s.breaks = make(chan struct{}), make(chan struct{}) }

// tell makes one Wait return.
func (s *server) tell() { s.news <- struct{}{} }

func (s *server) counts() (opened, listed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.opened), len(s.listed)
}

// look is what a server has seen so far.
type look struct {
	got, settled, open, most int
	listed                   []time.Time
	watched                  []string
}

func (s *server) look() look {
	s.mu.Lock()
	defer s.mu.Unlock()
	return look{len(s.got), len(s.settled), s.open, s.most, slices.Clone(s.listed), slices.Clone(s.watched)}
}

func (s *server) Open(ctx context.Context) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, time.Now())
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.open++
	s.most = max(s.most, s.open)
	x := &visitor{s: s}
	if s.lasting {
		return &watcher{x}, nil
	}
	return x, nil
}

// visitor is a session; watcher is one that can wait and describe.
type visitor struct {
	s      *server
	over   bool // settled, and ended by it
	closed bool
}

type watcher struct{ *visitor }

func (x *visitor) List(_ context.Context, box string, _ Cursor) (Listing, error) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if x.closed {
		return Listing{}, Errorf(Unreachable, "listing "+box, "", "%w", ErrFinished)
	}
	x.s.listed = append(x.s.listed, time.Now())
	if err := x.s.broken[box]; err != nil {
		return Listing{}, err
	}
	l := Listing{Complete: true, Refs: make([]Ref, 0, len(x.s.boxes[box]))}
	for _, m := range x.s.boxes[box] {
		r := Ref{Box: box, UID: m.uid, Size: int64(len(m.octets)), ReceivedAt: m.at, Excluded: m.excluded}
		if x.s.undated {
			r.Size, r.ReceivedAt = -1, time.Time{}
		}
		l.Refs = append(l.Refs, r)
	}
	return l, nil
}

func (x *watcher) Describe(_ context.Context, refs []Ref) error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.aboutMe++
	for i := range refs {
		for _, m := range x.s.boxes[refs[i].Box] {
			if m.uid == refs[i].UID {
				refs[i].Size, refs[i].ReceivedAt = int64(len(m.octets)), m.at
			}
		}
	}
	return nil
}

func (x *watcher) Boxes(_ context.Context, names []string) ([]string, error) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	var boxes []string
	for _, n := range names {
		if these, ok := x.s.named[n]; ok {
			boxes = append(boxes, these...)
		} else {
			boxes = append(boxes, n)
		}
	}
	return boxes, x.s.unnamed
}

func (x *watcher) Identify(_ context.Context, refs []Ref) error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.identified += len(refs)
	for i := range refs {
		for _, m := range x.s.boxes[refs[i].Box] {
			if m.uid == refs[i].UID {
				refs[i].Same = m.same
			}
		}
	}
	return nil
}

func (x *visitor) Heads(_ context.Context, refs []Ref, give func(Ref, []byte)) error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	for _, r := range refs {
		x.s.headed = append(x.s.headed, r.UID)
		for _, m := range x.s.boxes[r.Box] {
			if m.uid == r.UID && x.s.headless != "all" && x.s.headless != r.UID {
				r.Size = int64(len(m.octets))
				head, _, _ := strings.Cut(m.octets, "\r\n\r\n")
				give(r, []byte(head+"\r\n\r\n"))
			}
		}
	}
	return nil
}

// renumber gives every mail a new UIDVALIDITY, in the opposite order.
func (s *server) renumber(box string, validity int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Reverse(s.boxes[box])
	for i, m := range s.boxes[box] {
		m.uid = fmt.Sprintf("%d/%d", validity, i+1)
	}
}

func (x *visitor) Retrieve(ctx context.Context, refs []Ref, take func(Ref, io.Reader) error) error {
	var failed []error
	for _, r := range refs {
		x.s.mu.Lock()
		at := slices.IndexFunc(x.s.boxes[r.Box], func(m *stored) bool { return m.uid == r.UID })
		m, err := x.s.boxes[r.Box][at], x.s.poison[r.UID]
		x.s.got = append(x.s.got, r.UID)
		x.s.mu.Unlock()
		switch {
		case err != nil && RadiusOf(err) == MessageRadius:
			failed = append(failed, err)
		case err != nil:
			return err
		default:
			if err := take(r, strings.NewReader(m.octets)); err != nil {
				return err
			}
		}
	}
	return errors.Join(failed...)
}

func (x *visitor) Settle(_ context.Context, due []spool.Settlement) error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if x.over {
		return Errorf(Protocol, "settling", "", "%w", ErrFinished)
	}
	x.over = !x.s.lasting
	var failed []error
	for _, d := range due {
		if x.s.decline != nil {
			if err := x.s.decline(d); err != nil {
				if RadiusOf(err) != MessageRadius {
					return err
				}
				failed = append(failed, err)
				continue
			}
		}
		x.s.settled = append(x.s.settled, d)
		x.s.boxes[d.Box] = slices.DeleteFunc(x.s.boxes[d.Box], func(m *stored) bool { return d.Action.Verb == spool.Delete && m.uid == d.UID })
	}
	return errors.Join(failed...)
}

func (x *watcher) Wait(ctx context.Context, box string) error {
	x.s.mu.Lock()
	x.s.watched = append(x.s.watched, box)
	x.s.mu.Unlock()
	if x.s.restless {
		return ctx.Err()
	}
	select {
	case <-x.s.news:
		return nil
	case <-x.s.breaks:
		x.s.mu.Lock()
		x.s.breaks = nil
		x.s.open--
		x.closed = true
		x.s.mu.Unlock()
		return Errorf(Unreachable, "waiting for mail", "", "the server closed the connection")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (x *visitor) Close() error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if !x.closed {
		x.s.open--
	}
	x.closed = true
	return nil
}

// uidsOf are the UIDs of settlements.
func uidsOf(settled []spool.Settlement) (uids []string) {
	for _, d := range settled {
		uids = append(uids, d.UID)
	}
	slices.Sort(uids)
	return uids
}

// every is a schedule.
type every time.Duration

func (e every) Next(after time.Time) time.Time {
	if e == 0 {
		return time.Time{}
	}
	return after.Add(time.Duration(e))
}

// logs keeps what was logged.
type logs struct {
	mu    sync.Mutex
	lines []string
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

// count tells how many lines hold the text.
func (l *logs) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// house is a spool with a fetcher before it.
type house struct {
	*Fetcher
	t    testing.TB
	sp   *spool.Spool
	logs *logs

	mu   sync.Mutex
	told []Event
}

// events are those told so far.
func (h *house) events() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

func newHouse(t testing.TB, o spool.Options, mailboxes ...*Mailbox) *house {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "spool.db"))
	if err != nil {
		t.Fatal(err)
	}
	sp, err := spool.Open(t.Context(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, sp: sp, logs: &logs{}}
	log := slog.New(slog.NewTextHandler(h.logs, nil))
	h.Fetcher = New(sp, mailboxes, Options{Logger: log, Observe: func(e Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.told = append(h.told, e)
	}})
	return h
}

// close ends the spool; in a bubble of synctest it has to be done before the end of
// the test.
func (h *house) close() {
	if err := h.sp.Close(); err != nil {
		h.t.Error(err)
	}
}

// mailbox takes everything from INBOX of the server.
func mailbox(s *server) *Mailbox {
	return &Mailbox{
		Name: "support", Protocol: "imap", Account: "ada@example.com", Source: s, Boxes: []string{"INBOX"},
		Backfill: Backfill{All: true}, Schedule: every(time.Minute),
		Policy: spool.Policy{After: spool.Action{Verb: spool.Delete}, Failed: spool.Action{Verb: spool.Keep}},
	}
}

// once polls and wants no error.
func (h *house) once() Report {
	h.t.Helper()
	r := h.Once(h.t.Context())
	if r[0].Err != nil {
		h.t.Fatal(r[0].Err)
	}
	return r[0]
}

// deliver routes and delivers n mails.
func (h *house) deliver(ctx context.Context, n int) {
	for range n {
		item, err := h.sp.Next(ctx)
		if err != nil {
			return
		}
		if err := h.sp.Route(ctx, item.ID, spool.Routing{To: []spool.To{{Sink: "app"}}}); err != nil {
			h.t.Error(err)
		}
		c, err := h.sp.Due(ctx, "app")
		if err != nil {
			return
		}
		o := spool.Outcome{Delivery: c.Delivery, State: spool.Delivered, Attempt: spool.Attempt{At: time.Now()}}
		if err := h.sp.Record(ctx, c.Item.ID, o); err != nil {
			h.t.Error(err)
		}
	}
}

func (r Report) String() string {
	return fmt.Sprintf("listed %d fresh %d taken %d baseline %d excluded %d elsewhere %d failed %d settled %d unsettled %d recognised %d",
		r.Listed, r.Fresh, r.Taken, r.Baseline, r.Excluded, r.Elsewhere, r.Failed, r.Settled, r.Unsettled, r.Recognised)
}

// wantReport compares what is not zero in a report: "taken 2 settled 1".
func wantReport(t testing.TB, r Report, want string) {
	t.Helper()
	var got []string
	words := strings.Fields(r.String())
	for i := 0; i < len(words); i += 2 {
		if words[i+1] != "0" {
			got = append(got, words[i], words[i+1])
		}
	}
	if g := strings.Join(got, " "); g != want {
		t.Errorf("report %q, want %q", g, want)
	}
}
