package pop3

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/spool"
)

// Heads implements fetcher.Header by TOP (RFC 1939 section 7). A server that has
// none gives no heads.
func (x *session) Heads(ctx context.Context, refs []fetcher.Ref, give func(fetcher.Ref, []byte)) error {
	if x.broken {
		return &fetcher.Error{Radius: fetcher.SessionRadius, Op: reading, Err: errFinished}
	}
	if x.offers.named && !x.offers.has("TOP") {
		return nil
	}
	if err := x.known(ctx, asksHeaders(refs)); err != nil {
		return err
	}
	var there []fetcher.Ref
	for _, ref := range refs {
		if _, ok := x.numbers[ref.UID]; ok {
			ref.Size = x.sizes[ref.UID]
			there = append(there, ref)
		}
	}
	// One by itself shows whether the server has TOP.
	given := 0
	for n := 0; n < len(there); {
		asked := there[n:min(n+1, len(there))]
		if given > 0 {
			asked = there[n:]
		}
		err := x.burst(ctx, reading, len(asked), func(i int) string { return "TOP " + strconv.Itoa(x.numbers[asked[i].UID]) + " 0" }, func(i int) error {
			head, err := x.head()
			if err == nil {
				given++
				give(asked[i], head)
			}
			if refused, ok := errors.AsType[*refusal](err); ok && fetcher.RadiusOf(messageError(reading, asked[i].UID, refused)) == fetcher.MessageRadius {
				return nil
			}
			return err
		})
		if err != nil || given == 0 {
			return err
		}
		n += len(asked)
	}
	return nil
}

const reading = "reading header fields"

// head reads the reply to one TOP, and as much of the header block as counts.
func (x *session) head() ([]byte, error) {
	if err := x.g.reply(); err != nil {
		return nil, err
	}
	b := newBody(x.g.r, maxHeader, nil)
	head, err := io.ReadAll(io.LimitReader(b, spool.HeadLimit))
	if err == nil {
		_, err = io.Copy(io.Discard, b)
	}
	return head, err
}
