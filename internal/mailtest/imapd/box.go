package imapd

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mail is one mail of a box.
type Mail struct {
	UID    uint32
	Octets []byte
	Flags  []string
	Date   time.Time
	ID     uint64 // X-GM-MSGID
}

// box needs Server.mu.
type box struct {
	validity uint32
	next     uint32
	mails    []*Mail
}

// received is when the first mail of a box arrived; the others came a minute after
// the one before.
var received = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func (b *box) add(octets []byte) {
	id := 1<<60 + uint64(len(octets))<<32 + uint64(b.next)
	b.mails = append(b.mails, &Mail{UID: b.next, Octets: octets, Date: received.Add(time.Duration(b.next) * time.Minute), ID: id})
	b.next++
}

// Deliver puts mails into a box and tells those who wait there.
func (s *Server) Deliver(name string, mails ...[]byte) {
	s.Slip(name, mails...)
	s.mu.Lock()
	b := s.boxes[name]
	s.mu.Unlock()
	s.tell(b)
}

// Slip puts mails into a box and tells nobody.
func (s *Server) Slip(name string, mails ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range mails {
		s.boxes[name].add(m)
	}
}

// Label puts a mail of a box into another too, as Gmail does: it has one
// X-GM-MSGID in both.
func (s *Server) Label(from string, uid uint32, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.boxes[from].mails {
		if m.UID == uid {
			b := s.boxes[to]
			b.add(m.Octets)
			b.mails[len(b.mails)-1].ID = m.ID
		}
	}
}

// tell gives the sessions in IDLE the new number of mails.
func (s *Server) tell(b *box) {
	s.mu.Lock()
	var waiting []*session
	for x := range s.conns {
		if x.idle && x.box == b {
			waiting = append(waiting, x)
		}
	}
	n := len(b.mails)
	for _, x := range waiting {
		x.told = n
	}
	s.mu.Unlock()
	for _, x := range waiting {
		x.send("", Say("* "+strconv.Itoa(n)+" EXISTS\r\n"))
	}
}

// Say sends octets to every session in IDLE.
func (s *Server) Say(octets string) {
	s.mu.Lock()
	var waiting []*session
	for x := range s.conns {
		if x.idle {
			waiting = append(waiting, x)
		}
	}
	s.mu.Unlock()
	for _, x := range waiting {
		x.send("", Say(octets))
	}
}

// Idle counts the sessions in IDLE.
func (s *Server) Idle() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.conns {
		if x.idle {
			n++
		}
	}
	return n
}

// Renumber gives a box a new UIDVALIDITY and its mails new UIDs, from 1 on.
func (s *Server) Renumber(name string, validity uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[name]
	b.validity, b.next = validity, 1
	for _, m := range b.mails {
		m.UID = b.next
		b.next++
	}
}

// Remove expunges a mail behind the clients' backs.
func (s *Server) Remove(name string, uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[name]
	b.mails = slices.DeleteFunc(b.mails, func(m *Mail) bool { return m.UID == uid })
}

// Mark adds a flag to a mail, as another client does.
func (s *Server) Mark(name string, uid uint32, flag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.boxes[name].mails {
		if m.UID == uid {
			m.Flags = append(m.Flags, flag)
		}
	}
}

// Box is what a box holds; nil if there is none.
func (s *Server) Box(name string) []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[name]
	if b == nil {
		return nil
	}
	mails := []Mail{}
	for _, m := range b.mails {
		c := *m
		c.Flags = slices.Clone(m.Flags)
		mails = append(mails, c)
	}
	return mails
}

// inSet reports whether uid is in a set such as "1:3,7,9:*".
func inSet(set string, uid uint32) bool {
	for part := range strings.SplitSeq(set, ",") {
		first, last, ranged := strings.Cut(part, ":")
		low := number(first)
		high := low
		if ranged {
			high = number(last)
		}
		if low <= uid && uid <= high {
			return true
		}
	}
	return false
}

func number(s string) uint32 {
	if s == "*" {
		return ^uint32(0)
	}
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}
