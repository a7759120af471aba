package imap

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
)

// idling is an IDLE command (RFC 2177). The guard sends it and keeps its answers to
// itself; imapclient, whose own IDLE has a goroutine for each and does not notice
// when the server ends it, sees only the news that come meanwhile.
type idling struct {
	tag   string
	taken bool                     // the server has begun it; known to the reading goroutine
	heard chan imap.StatusResponse // what the server says of the command itself
}

func newIdling(tag string) *idling {
	return &idling{tag: tag, heard: make(chan imap.StatusResponse, 2)}
}

// begun is the type of what is heard when the server has taken the command.
const begun imap.StatusResponseType = "+"

// says notes the first continuation request, and the end of the command.
func (i *idling) says(kind string, rest []byte) {
	said := imap.StatusResponse{Type: imap.StatusResponseType(kind)}
	if said.Type == begun && i.taken {
		return
	}
	i.taken = true
	if code, text, ok := bytes.Cut(bytes.TrimPrefix(rest, []byte("[")), []byte("]")); ok && rest[0] == '[' {
		name, _ := word(code)
		said.Code, rest = imap.ResponseCode(name), bytes.TrimPrefix(text, []byte(" "))
	}
	said.Text = string(clip(rest))
	select {
	case i.heard <- said:
	default:
	}
}

// idle waits in IDLE until there are news, the limit is reached or ctx ends. A
// server that refuses the command is asked with NOOP instead.
func (x *session) idle(ctx context.Context, limit <-chan time.Time) error {
	refusal, err := x.beginIdle(ctx)
	if err != nil {
		return err
	}
	if refusal != nil {
		x.src.warn("the server offers IDLE and refuses it: it is asked for news every "+x.src.o.AskEvery.String(),
			"server", x.src.o.Server.Address(), "says", words(refusal))
		x.noIdle = true
		return x.ask(ctx, limit)
	}
	idle := x.g.idle.Load()
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

// beginIdle sends IDLE and waits until the server has taken or refused it.
func (x *session) beginIdle(ctx context.Context) (refusal *imap.Error, err error) {
	x.idles++
	i := newIdling("I" + strconv.Itoa(x.idles))
	err = x.within(ctx, waiting, x.src.o.IdleReply, x.src.o.IdleReply, func() error {
		x.g.idle.Store(i)
		if _, err := x.g.Write([]byte(i.tag + " IDLE\r\n")); err != nil {
			return err
		}
		said, err := x.hear(i)
		if err == nil && said.Type != begun {
			x.g.idle.Store(nil)
			answer := imap.Error(said)
			refusal = &answer
		}
		return err
	})
	return refusal, err
}

// endIdle ends the command, unless the server has.
func (x *session) endIdle(ctx context.Context, over bool) error {
	i := x.g.idle.Load()
	defer x.g.idle.Store(nil)
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

// hear waits for what the server says of the command.
func (x *session) hear(i *idling) (imap.StatusResponse, error) {
	select {
	case said := <-i.heard:
		return said, nil
	case <-x.client.Closed():
		return imap.StatusResponse{}, io.ErrUnexpectedEOF
	}
}
