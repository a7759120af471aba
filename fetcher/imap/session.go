package imap

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/internal/secret"
)

// session is one signed-in connection.
type session struct {
	src    *Source
	g      *guard
	client *imapclient.Client
	before imap.CapSet   // what was offered before signing in
	token  secret.Secret // signed in with; it is masked in what the server says
	caps   imap.CapSet   // what is offered to this user

	// What the guard's reading goroutine hears.
	bye      atomic.Pointer[string]
	exists   atomic.Int64  // mails in the selected box, as the server has said
	validity atomic.Int64  // UIDVALIDITY as said since the last SELECT; -1: not said
	opening  atomic.Bool   // a SELECT is under way: what is said is no news
	news     chan struct{} // the selected box got mail

	selected *box              // nil: none
	known    []folder          // as listed last
	aliases  map[string]string // where mail is moved to in place of a name the server does not allow
	asides   int               // commands sent aside from imapclient
	noIdle   bool              // the server refused one
	whole    *standing         // of the selected box, where its listing was complete and began with SELECT
	told     bool              // the selected box was left in Wait, and nothing else was done since
	over     bool              // the connection has ended, and that was reported
	closed   bool
}

// box is an opened box.
type box struct {
	name     string
	writable bool
	validity uint32
	flags    []imap.Flag // those that can be set for good
	stands   standing
}

var (
	_ fetcher.Session   = (*session)(nil)
	_ fetcher.Watcher   = (*session)(nil)
	_ fetcher.Describer = (*session)(nil)
	_ fetcher.Finder    = (*session)(nil)

	_ fetcher.Identifier = (*session)(nil)
)

func newSession(s *Source, conn connection, greeting string, token secret.Secret) *session {
	x := &session{
		src: s, token: token, g: newGuard(conn, greeting),
		news: make(chan struct{}, 1),
	}
	x.client = x.listen()
	return x
}

// do runs one exchange with the server within the deadlines, and grades its
// error.
func (x *session) do(ctx context.Context, op string, exchange func() error) error {
	return x.within(ctx, op, x.src.o.Silence, x.src.o.Command, exchange)
}

func (x *session) within(ctx context.Context, op string, silence, total time.Duration, exchange func() error) error {
	if x.over || x.closed && op != signingOut {
		return &fetcher.Error{Radius: fetcher.SessionRadius, Cause: fetcher.Unreachable, Op: op, Err: fetcher.ErrFinished}
	}
	if ctx.Err() != nil {
		x.g.fail(context.Cause(ctx))
	}
	if x.g.failure() != nil {
		return x.connectionError(op, nil)
	}
	stop := x.g.watch(ctx, silence, total)
	err := exchange()
	stop()
	return x.grade(op, err)
}

// grade makes a *fetcher.Error of what imapclient returned. A refusal leaves the
// session usable; anything else ends it.
func (x *session) grade(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*fetcher.Error); ok {
		return err
	}
	if said, ok := errors.AsType[*imap.Error](err); ok {
		return x.refusedError(op, said)
	}
	return x.connectionError(op, err)
}

const signingOut = "signing out"

// Close implements fetcher.Session. A session that is at rest says LOGOUT.
func (x *session) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	if !x.over && x.g.failure() == nil {
		failpoint.Hit("imap.logout.before")
		_ = x.within(context.Background(), signingOut, logoutWait, logoutWait, func() error {
			return x.client.Logout().Wait()
		}) // a courtesy; everything was confirmed before
		failpoint.Hit("imap.logout.after")
	}
	// The connection is closed first: imapclient's Close waits for its reader.
	x.g.Close()
	x.client.Close()
	return nil
}

// open selects a box, unless it is the selected one already and may be written
// to where that is asked for.
func (x *session) open(ctx context.Context, name string, write bool) (box, error) {
	if b := x.selected; b != nil && b.name == name && (b.writable || !write) {
		return *b, nil
	}
	return x.reopen(ctx, name, write)
}

// reopen selects a box anew, which tells what is in it.
func (x *session) reopen(ctx context.Context, name string, write bool) (box, error) {
	x.selected, x.told, x.whole = nil, false, nil
	name, err := x.real(ctx, name)
	if err != nil {
		return box{}, err
	}
	b := box{name: name, writable: write}
	op := "opening " + name
	x.validity.Store(-1)
	x.exists.Store(0)
	x.opening.Store(true)
	failpoint.Hit("imap.select.before")
	err = x.do(ctx, op, func() error {
		data, err := x.client.Select(name, &imap.SelectOptions{ReadOnly: !write}).Wait()
		if err == nil {
			b.flags = data.PermanentFlags
			b.stands = standing{next: data.UIDNext, exists: data.NumMessages}
		}
		return err
	})
	failpoint.Hit("imap.select.after")
	x.opening.Store(false)
	if err != nil {
		return box{}, x.notOpened(ctx, name, err)
	}
	validity := x.validity.Load()
	if validity < 0 {
		return box{}, fetcher.Errorf(fetcher.Protocol, op, "use POP3 if the server has it",
			"the server gives the box no UIDVALIDITY, so its mails could not be told apart later")
	}
	b.validity = uint32(validity)
	b.stands.validity = b.validity
	drain(x.news) // of the box before
	x.selected = &b
	return b, nil
}

// sameMap reports whether a and b are one map.
func sameMap(a, b imap.CapSet) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}
