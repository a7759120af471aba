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
)

// session is one signed-in connection.
type session struct {
	src    *Source
	g      *guard
	client *imapclient.Client
	before imap.CapSet // what was offered before signing in
	caps   imap.CapSet
	bye    atomic.Pointer[string]

	news   chan struct{} // the selected box changed
	tagged chan struct{} // the server ended an answer

	selected  *box           // nil: none
	listed    map[string]box // as of the last List
	guesses   bool           // the server's RFC822.SIZE is an estimate
	abandoned bool           // answers are still under way and nobody waits for them
}

// box is an opened box.
type box struct {
	name     string
	writable bool
	validity uint32
	next     imap.UID // UIDNEXT; 0 when the server did not say
	exists   uint32
}

var (
	_ fetcher.Session = (*session)(nil)
	_ fetcher.Watcher = (*session)(nil)
)

func newSession(s *Source, conn connection, greeting string) *session {
	x := &session{
		src: s, g: newGuard(conn, greeting), listed: map[string]box{},
		news: make(chan struct{}, 1), tagged: make(chan struct{}, 1),
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
	if err := ctx.Err(); err != nil {
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
	if refusal, ok := errors.AsType[*imap.Error](err); ok {
		return refusedError(op, refusal)
	}
	return x.connectionError(op, err)
}

// Close implements fetcher.Session. A session that is at rest says LOGOUT.
func (x *session) Close() error {
	if x.g.failure() == nil && !x.abandoned {
		x.within(context.Background(), "signing out", logoutWait, logoutWait, func() error {
			return x.client.Logout().Wait()
		})
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
	x.selected = nil
	b := box{name: name, writable: write}
	err := x.do(ctx, "opening "+name, func() error {
		data, err := x.client.Select(name, &imap.SelectOptions{ReadOnly: !write}).Wait()
		if err != nil {
			return err
		}
		b.validity, b.next, b.exists = data.UIDValidity, data.UIDNext, data.NumMessages
		return nil
	})
	if err != nil {
		return box{}, err
	}
	x.selected = &b
	return b, nil
}

// sameMap reports whether a and b are one map.
func sameMap(a, b imap.CapSet) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}
