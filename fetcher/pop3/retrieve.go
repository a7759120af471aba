package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/failpoint"
)

const (
	retrieving = "retrieving"
	// slowest is how many octets a mail has to come by in a second, once it has taken
	// as long as any command may.
	slowest = 1 << 10
)

// Retrieve implements fetcher.Session. Where the server pipelines, the RETR
// commands of a window are sent ahead; otherwise each waits for the mail before
// it. Once take has failed the session is finished, since what follows on the
// connection are mails nobody wants.
func (x *session) Retrieve(ctx context.Context, refs []fetcher.Ref, take func(fetcher.Ref, io.Reader) error) error {
	if x.broken {
		return &fetcher.Error{Radius: fetcher.SessionRadius, Op: retrieving, Err: errFinished}
	}
	if err := x.known(ctx, asksHeaders(refs)); err != nil {
		return err
	}
	wanted, failed := x.wanted(refs)
	stop := context.AfterFunc(ctx, func() { x.g.Close() })
	defer stop()
	w := x.newWindow(wanted)
	for _, ref := range wanted {
		if ctx.Err() != nil {
			return x.fail(ctx, retrieving, ctx.Err())
		}
		if err := w.fill(); err != nil {
			return x.fail(ctx, retrieving, err)
		}
		err := x.one(ctx, w, ref, take)
		w.done(ref)
		if err == nil {
			continue
		}
		if x.broken || fetcher.RadiusOf(err) != fetcher.MessageRadius {
			return errors.Join(append(failed, err)...)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// asksHeaders reports UIDs made of headers.
func asksHeaders(refs []fetcher.Ref) bool {
	return slices.ContainsFunc(refs, func(r fetcher.Ref) bool { return strings.HasPrefix(r.UID, headerMark) })
}

// wanted completes the refs, and sorts out those that cannot be had.
func (x *session) wanted(refs []fetcher.Ref) (wanted []fetcher.Ref, failed []error) {
	for _, ref := range refs {
		_, there := x.numbers[ref.UID]
		_, endless := x.src.endless.Load(ref.UID)
		ref.Size = x.sizes[ref.UID]
		switch {
		case !there:
			failed = append(failed, skipped(ref, errors.New("the server does not list it any more"), ""))
		case endless || ref.Size > x.src.o.MaxOctets:
			failed = append(failed, skipped(ref, fmt.Errorf("%w: more than %d octets", errTooLarge, x.src.o.MaxOctets), "it stays on the server"))
		default:
			wanted = append(wanted, ref)
		}
	}
	return wanted, failed
}

func skipped(ref fetcher.Ref, err error, hint string) error {
	return &fetcher.Error{Radius: fetcher.MessageRadius, Op: retrieving, UID: printable(ref.UID), Err: err, Hint: hint}
}

// one reads the reply to one RETR.
func (x *session) one(ctx context.Context, w *window, ref fetcher.Ref, take func(fetcher.Ref, io.Reader) error) error {
	x.g.SetDeadline(time.Now().Add(x.src.o.Command + time.Duration(ref.Size/slowest)*time.Second))
	defer x.g.SetDeadline(time.Time{})
	err := x.g.reply()
	if refused, ok := errors.AsType[*refusal](err); ok && ctx.Err() == nil {
		e := messageError(retrieving, ref.UID, refused)
		if fetcher.RadiusOf(e) != fetcher.MessageRadius {
			x.broken = true
			x.g.Close()
		}
		return e
	}
	if err != nil {
		return x.fail(ctx, retrieving, err)
	}
	b := newBody(x.g.r, x.src.o.MaxOctets, w.following)
	taken := take(ref, b)
	if taken == nil {
		_, taken = io.Copy(io.Discard, b)
	}
	switch {
	case errors.Is(b.err, errTooLarge):
		x.src.endless.Store(ref.UID, true)
	case b.err != nil && b.err != io.EOF:
	case taken == nil:
		x.moved++
		failpoint.Hit("pop3.body.end")
		return nil
	default:
		x.broken = true
		x.g.Close()
		return taken
	}
	err = x.fail(ctx, retrieving, b.err)
	if e, ok := errors.AsType[*fetcher.Error](err); ok {
		e.UID = ref.UID
	}
	return err
}

// window keeps RETR commands under way. They are short, and a window of them is
// far below what the network takes without being read, so that writing cannot
// wait for a server that waits to be read (RFC 2449 section 6.6).
type window struct {
	x      *session
	rest   []fetcher.Ref // not yet asked for
	mails  int           // under way
	octets int64         // under way, as the server says
	max    int           // mails under way
}

// windowCap keeps all the commands of a window within a few kilobytes.
const windowCap = 256

func (x *session) newWindow(refs []fetcher.Ref) *window {
	w := &window{x: x, rest: refs, max: 1}
	if x.pipelining {
		w.max = min(x.src.o.WindowMails, windowCap)
	}
	return w
}

// fill sends commands in one write, once half of the window is free.
func (w *window) fill() error {
	if w.mails > w.max/2 {
		return nil
	}
	if w.mails == 0 && len(w.rest) > 0 && w.x.g.r.Buffered() > 0 {
		return violatef("the server sent %q before it was asked", w.x.g.peek())
	}
	var out []byte
	for len(w.rest) > 0 && w.mails < w.max {
		next := w.rest[0]
		if w.mails > 0 && w.octets+next.Size > w.x.src.o.WindowOctets {
			break
		}
		out = append(out, "RETR "...)
		out = strconv.AppendInt(out, int64(w.x.numbers[next.UID]), 10)
		out = append(out, "\r\n"...)
		w.rest, w.mails, w.octets = w.rest[1:], w.mails+1, w.octets+next.Size
	}
	if len(out) == 0 {
		return nil
	}
	w.x.retrieved = true
	failpoint.Hit("pop3.retr.before")
	_, err := w.x.g.Write(out)
	return err
}

func (w *window) done(ref fetcher.Ref) { w.mails, w.octets = w.mails-1, w.octets-ref.Size }

// following checks, at the end of a mail, what has arrived after it: the reply
// to a further RETR or nothing. A server that forgets byte-stuffing ends a mail
// early, and the rest of the mail shows here.
func (w *window) following() error {
	n := min(w.x.g.r.Buffered(), len("-ERR"))
	if n == 0 {
		return nil
	}
	first, _ := w.x.g.r.Peek(n)
	reply := n <= len("+OK") && string(first) == "+OK"[:n] || string(first) == "-ERR"[:n] || n == 4 && string(first[:3]) == "+OK"
	if w.mails > 1 && reply {
		return nil
	}
	return violatef("after the end of a mail the server sent %q", w.x.g.peek())
}
