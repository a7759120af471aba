package imap

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

// idle waits in IDLE (RFC 2177) until there are news, the limit is reached or ctx ends. A
// server that refuses the command is asked with NOOP instead.
func (x *session) idle(ctx context.Context, limit <-chan time.Time) error {
	refusal, err := x.beginIdle(ctx)
	if err != nil {
		return err
	}
	if refusal != nil {
		x.src.warn("the server offers IDLE and refuses it: it is asked for news every "+x.src.o.AskEvery.String(),
			"server", x.src.o.Server.Address(), "says", x.words(refusal))
		x.noIdle = true
		return x.ask(ctx, limit)
	}
	idle := x.g.aside.Load()
	over := false
	select {
	case <-x.news:
		x.told = true
	case <-limit:
	case <-ctx.Done():
	case <-idle.heard:
		over = true
	case <-x.client.Closed():
		return x.connectionError(waiting, nil)
	}
	// The session is used further after ctx ended, so ctx is left out here.
	if err := x.endIdle(context.WithoutCancel(ctx), over); err != nil {
		return err
	}
	return ctx.Err()
}

// beginIdle sends IDLE and waits until the server has taken or refused it; a
// command under way is not left, so that the session can be used after ctx ended.
func (x *session) beginIdle(ctx context.Context) (refusal *imap.Error, err error) {
	err = x.within(context.WithoutCancel(ctx), waiting, x.src.o.IdleReply, x.src.o.IdleReply, func() error {
		i, err := x.send("IDLE", nil)
		if err != nil {
			return err
		}
		said, err := x.hear(i)
		if err == nil && said.Type != begun {
			x.g.aside.Store(nil)
			answer := imap.Error(said)
			refusal = &answer
		}
		return err
	})
	return refusal, err
}

// endIdle ends the command, unless the server has.
func (x *session) endIdle(ctx context.Context, over bool) error {
	i := x.g.aside.Load()
	defer x.g.aside.Store(nil)
	return x.within(ctx, waiting, x.src.o.IdleReply, x.src.o.IdleReply, func() error {
		if over || len(i.heard) > 0 {
			return nil
		}
		if _, err := x.g.Write([]byte("DONE\r\n")); err != nil {
			return err
		}
		_, err := x.hear(i)
		return err
	})
}
