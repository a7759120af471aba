package demo

import (
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// imapSession is a session on the mailboxes in memory that adds three promises.
//
// A mail that comes between a client's last command and its IDLE is told at
// once: the library's own Idle tells only what comes after it began.
//
// A mail is not found or fetched before its EXISTS was sent (RFC 3501 section
// 7.3.1 ties the message numbers to it): the library would send "* 0 FETCH".
// Expunged mail needs no such care, since the library keeps account of it.
//
// A MOVE tells of each mail's expunging once; the library's tells of it twice.
type imapSession struct {
	*imapmemserver.UserSession // nil before sign-in
	server                     *imapServer

	// mu guards what follows and is held while Idle runs, since the library does
	// not always wait for Idle's end before it goes on.
	mu     sync.Mutex
	box    string   // selected; "" if none is
	told   imap.UID // every mail in box with a UID up to this was announced
	closed bool

	// searched is that a SEARCH was the last command. Nothing is announced between
	// its results and its end, so that a client can compare the two counts.
	searched bool
}

var (
	_ imapserver.SessionNamespace = (*imapSession)(nil)
	_ imapserver.SessionMove      = (*imapSession)(nil)
)

// Login implements imapserver.Session.
func (s *imapSession) Login(user, password string) error {
	if err := s.server.user.Login(user, password); err != nil {
		return err
	}
	s.UserSession = imapmemserver.NewUserSession(s.server.user)
	return nil
}

// Close implements imapserver.Session. It waits for Idle.
func (s *imapSession) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.UserSession.Close()
}

// Select implements imapserver.Session.
func (s *imapSession) Select(box string, options *imap.SelectOptions) (*imap.SelectData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := s.UserSession.Select(box, options)
	if err == nil {
		s.box, s.told = box, data.UIDNext-1
	}
	return data, err
}

// Unselect implements imapserver.Session.
func (s *imapSession) Unselect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.box, s.told = "", 0
	return s.UserSession.Unselect()
}

// Poll implements imapserver.Session.
func (s *imapSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.searched {
		s.searched = false
		return nil
	}
	return s.announce(w, allowExpunge)
}

// announce tells of all that has changed; s.mu is held. No mail comes meanwhile,
// so that a client finds as many as it was told of; it does not come while a
// FETCH is answered either.
func (s *imapSession) announce(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.server.appending.Lock()
	defer s.server.appending.Unlock()
	if err := s.UserSession.Poll(w, allowExpunge); err != nil {
		return err
	}
	if s.box == "" || !allowExpunge { // without, announcements may have stayed behind an EXPUNGE
		return nil
	}
	if st, err := s.Status(s.box, &imap.StatusOptions{UIDNext: true}); err == nil { // else it has another name now
		s.told = st.UIDNext - 1
	}
	return nil
}

// Idle implements imapserver.Session.
func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed {
		news := s.server.news()
		if err := s.announce(w, true); err != nil {
			return err
		}
		select {
		case <-news:
		case <-stop:
			return nil
		}
	}
	return nil
}

// Search implements imapserver.Session.
func (s *imapSession) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions) (*imap.SearchData, error) {
	s.mu.Lock()
	told := s.told
	s.searched = true
	s.mu.Unlock()
	if told == 0 {
		if kind == imapserver.NumKindUID {
			return &imap.SearchData{All: imap.UIDSet(nil)}, nil
		}
		return &imap.SearchData{All: imap.SeqSet(nil)}, nil
	}
	criteria.UID = append(criteria.UID, imap.UIDSet{{Start: 1, Stop: told}})
	return s.UserSession.Search(kind, criteria, options)
}

// Fetch implements imapserver.Session.
func (s *imapSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	return s.UserSession.Fetch(w, s.announced(set), options)
}

// Store implements imapserver.Session.
func (s *imapSession) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions) error {
	defer s.server.tell()
	return s.UserSession.Store(w, s.announced(set), flags, options)
}

// Copy implements imapserver.Session.
func (s *imapSession) Copy(set imap.NumSet, box string) (*imap.CopyData, error) {
	defer s.server.tell()
	s.server.appending.Lock()
	defer s.server.appending.Unlock()
	data, err := s.UserSession.Copy(s.announced(set), box)
	if err != nil || len(data.SourceUIDs) == 0 {
		return nil, err // without COPYUID, which cannot tell of nothing (RFC 4315 section 3)
	}
	return data, nil
}

// Move implements imapserver.SessionMove.
func (s *imapSession) Move(w *imapserver.MoveWriter, set imap.NumSet, box string) error {
	data, err := s.Copy(set, box)
	if err != nil || data == nil {
		return err
	}
	if err := w.WriteCopyData(data); err != nil { // RFC 6851 section 4.3
		return err
	}
	gone := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := s.Store(nil, data.SourceUIDs, gone, nil); err != nil {
		return err
	}
	return s.Expunge(nil, &data.SourceUIDs)
}

// Expunge implements imapserver.Session.
func (s *imapSession) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	defer s.server.tell()
	return s.UserSession.Expunge(w, uids)
}

// Append implements imapserver.Session.
func (s *imapSession) Append(box string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	return s.server.append(box, r, options)
}

// AppendLimit implements imapserver.SessionAppendLimit.
func (s *imapSession) AppendLimit() uint32 { return maxMail }

// known is the last UID that the client has been told of.
func (s *imapSession) known() imap.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// announced is the part of a UID set that the client has been told of; message
// numbers are the library's care. "*" is the last mail told of.
func (s *imapSession) announced(set imap.NumSet) imap.NumSet {
	uids, ok := set.(imap.UIDSet)
	if !ok {
		return set
	}
	told := s.known()
	var known imap.UIDSet
	for _, r := range uids {
		if r.Start == 0 {
			r.Start = told
		}
		if r.Stop == 0 {
			r.Stop = told
		}
		lo, hi := min(r.Start, r.Stop), min(max(r.Start, r.Stop), told)
		if lo > 0 && lo <= hi {
			known = append(known, imap.UIDRange{Start: lo, Stop: hi})
		}
	}
	return known
}
