package pop3

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/knadh/go-pop3"

	"github.com/postferry/postferry/fetcher"
)

// goodbye is how long Close waits for the reply to QUIT.
const goodbye = 2 * time.Second

// session is one signed-in connection.
type session struct {
	src        *Source
	g          *guard
	client     *pop3.Conn
	greeting   string // the server's words
	offers     offers
	pipelining bool

	numbers map[string]int   // message numbers by UID, from the listing
	sizes   map[string]int64 // as LIST says
	order   []string         // UIDs as the server lists them
	headers bool             // UIDs are made of headers
	count   int              // mails there are, as STAT says
	octets  int              // and their size
	counted bool             // STAT was answered
	renamed bool             // all mails have other UIDs than before
	moved   int              // mails retrieved or marked so far

	marked, markedOctets int  // by DELE, and their size
	retrieved            bool // anything was asked for by RETR
	broken               bool // nothing more can be asked
	once                 sync.Once
}

var (
	_ fetcher.Session   = (*session)(nil)
	_ fetcher.Concluder = (*session)(nil)
	_ fetcher.Bounded   = (*session)(nil)
	_ fetcher.Pacer     = (*session)(nil)
)

var errFinished = errors.New("the session is finished")

// do runs one command. The connection is closed when ctx ends, which ends a
// blocked call too, and when the command takes longer than it may. Everything but
// an -ERR finishes the session.
func (x *session) do(ctx context.Context, op string, command func() error) error {
	if x.broken {
		return &fetcher.Error{Radius: fetcher.SessionRadius, Op: op, Err: errFinished}
	}
	if ctx.Err() != nil {
		return x.fail(ctx, op, ctx.Err())
	}
	stop := context.AfterFunc(ctx, func() { x.g.Close() })
	defer stop()
	x.g.SetDeadline(time.Now().Add(x.src.o.Command))
	err := command()
	x.g.SetDeadline(time.Time{})
	switch {
	case x.g.err != nil:
		return x.fail(ctx, op, x.g.err)
	case err == nil && ctx.Err() == nil:
		return nil
	case x.g.refused != nil && ctx.Err() == nil:
		return replyError(op, x.g.refused)
	}
	if refused, ok := errors.AsType[*refusal](err); ok && ctx.Err() == nil {
		return replyError(op, refused)
	}
	return x.fail(ctx, op, err)
}

// fail finishes the session.
func (x *session) fail(ctx context.Context, op string, err error) error {
	if !x.broken && ctx.Err() == nil && hungUp(err) {
		x.src.memory.cut(x)
	}
	x.broken = true
	x.g.Close()
	if _, said := errors.AsType[*violation](err); said {
		err = x.g.hide.Error(err) // it shows what was sent in place of a reply
	}
	return connError(ctx, op, err)
}

// Close implements fetcher.Session. QUIT is sent only by a session that has
// retrieved nothing: some servers delete at QUIT what was retrieved.
func (x *session) Close() error {
	x.once.Do(func() {
		if !x.broken && !x.retrieved {
			x.g.SetReadTimeout(goodbye)
			x.g.SetDeadline(time.Now().Add(goodbye))
			x.g.expect(nil, 0)
			x.client.Quit() // a courtesy that unlocks the maildrop sooner
		}
		if !x.broken {
			x.src.memory.ended(x)
		}
		x.broken = true
		x.g.Close()
	})
	return nil
}
