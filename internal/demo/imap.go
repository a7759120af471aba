package demo

import (
	"bytes"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/postferry/postferry/internal/localca"
)

// maxStored bounds the octets of mail that one mailbox holds.
const maxStored = 256 << 20

// errFull is what a client is told then (RFC 9051 section 7.1, OVERQUOTA).
var errFull = &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeOverQuota, Text: "the mailbox is full"}

// imapServer holds one account in memory.
type imapServer struct {
	user   *imapmemserver.User
	server *imapserver.Server

	room      int64      // the most octets of one mailbox
	appending sync.Mutex // while mail is put into a mailbox or announced

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of any mailbox
}

func newIMAPServer(account Account, ca *localca.CA, log *log.Logger) (*imapServer, error) {
	s := &imapServer{user: imapmemserver.NewUser(account.User, account.Password), room: maxStored, changed: make(chan struct{})}
	if err := s.user.Create("INBOX", nil); err != nil {
		return nil, err
	}
	s.server = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &imapSession{server: s}, nil, nil
		},
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {}, imap.CapESearch: {}, imap.CapMove: {},
			imap.CapListExtended: {}, imap.CapListStatus: {}, imap.CapStatusSize: {}, imap.CapChildren: {},
		},
		Logger:    log,
		TLSConfig: ca.Server(),
	})
	return s, nil
}

// serve returns when l is closed.
func (s *imapServer) serve(l net.Listener) error { return s.server.Serve(l) }

// add puts a mail into INBOX and wakes those who wait in IDLE.
func (s *imapServer) add(raw []byte, at time.Time) error {
	_, err := s.append("INBOX", literal{bytes.NewReader(raw)}, &imap.AppendOptions{Time: at})
	return err
}

func (s *imapServer) append(box string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	s.appending.Lock()
	defer s.appending.Unlock()
	if st, err := s.user.Status(box, &imap.StatusOptions{Size: true}); err == nil && *st.Size+r.Size() > s.room {
		return nil, errFull
	}
	defer s.tell()
	return s.user.Append(box, r, options)
}

// tell wakes every session in IDLE.
func (s *imapServer) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// news is closed at the next change.
func (s *imapServer) news() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

type literal struct{ *bytes.Reader }

// Size implements imap.LiteralReader.
func (l literal) Size() int64 { return l.Reader.Size() }
