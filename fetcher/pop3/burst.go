package pop3

import (
	"context"
	"errors"
	"time"

	"github.com/postferry/postferry/fetcher"
)

// burst sends count commands and reads their replies in order. Where the server
// pipelines (RFC 2449 section 6.6) a window of them is under way; they are short,
// and so is what waits to be read while they are written. A refusal that reply
// returns ends it: nothing more is asked, and what was asked is waited for. Any
// other error finishes the session.
func (x *session) burst(ctx context.Context, op string, count int, command func(i int) string, reply func(i int) error) error {
	if x.broken {
		return &fetcher.Error{Radius: fetcher.SessionRadius, Op: op, Err: errFinished}
	}
	stop := context.AfterFunc(ctx, func() { x.g.Close() })
	defer stop()
	defer x.g.SetDeadline(time.Time{})
	x.g.expect(nil, 0)
	width := 1
	if x.pipelining {
		width = windowCap
	}
	var refused *refusal
	for asked, read := 0, 0; read < count && (refused == nil || read < asked); read++ {
		if ctx.Err() != nil {
			return x.fail(ctx, op, ctx.Err())
		}
		if x.g.err != nil {
			return x.fail(ctx, op, x.g.err)
		}
		x.g.SetDeadline(time.Now().Add(x.src.o.Command))
		if asked-read <= width/2 && refused == nil {
			var out []byte
			for ; asked < count && asked-read < width; asked++ {
				out = append(out, command(asked)+"\r\n"...)
			}
			if _, err := x.g.Write(out); err != nil {
				return x.fail(ctx, op, err)
			}
		}
		err := reply(read)
		if err == nil {
			continue
		}
		if said, ok := errors.AsType[*refusal](err); ok && ctx.Err() == nil {
			refused = said
			continue
		}
		return x.fail(ctx, op, err)
	}
	if refused != nil {
		return replyError(op, refused)
	}
	return nil
}
