package pop3

import (
	"context"
	"errors"
	"fmt"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

// Settle implements fetcher.Session: DELE for each mail that is due and still
// there, then QUIT, whose reply alone says that they are deleted (RFC 1939
// section 6). A DELE that is refused does not hold up the others; it is reported
// after QUIT. POP3 knows deletion only, so every other action is reported as one
// that cannot be done.
func (x *session) Settle(ctx context.Context, due []spool.Settlement) error {
	if err := x.known(ctx); err != nil {
		return err
	}
	var failed []error
	done := map[string]bool{}
	for _, d := range due {
		switch d.Action.Verb {
		case spool.Keep:
			continue
		case spool.Delete:
		default:
			failed = append(failed, unsupported(d))
			continue
		}
		if done[d.UID] {
			continue
		}
		done[d.UID] = true
		err := x.delete(ctx, d.UID)
		switch {
		case err == nil:
		case fetcher.RadiusOf(err) == fetcher.MessageRadius:
			failed = append(failed, err)
		default:
			return err
		}
	}
	if err := x.quit(ctx); err != nil {
		return err
	}
	return errors.Join(failed...)
}

func unsupported(d spool.Settlement) error {
	return &fetcher.Error{
		Radius: fetcher.MessageRadius, Cause: fetcher.Protocol, Op: "settling", UID: printable(d.UID),
		Err:  fmt.Errorf("POP3 has no %q", printable(string(d.Action.Verb))),
		Hint: "use keep or delete with POP3, or take the mail by IMAP",
	}
}

// delete marks one mail. Its error is nil, of radius Message, or worse.
func (x *session) delete(ctx context.Context, uid string) error {
	num, there := x.numbers[uid]
	if !there {
		return nil // gone already, which is what was wanted
	}
	const op = "deleting"
	err := x.do(ctx, op, func() error {
		x.g.expect(nil, 0)
		failpoint.Hit("pop3.dele.before")
		return x.client.Dele(num)
	})
	failpoint.Hit("pop3.dele.after")
	if refused, ok := errors.AsType[*refusal](err); ok {
		return messageError(op, uid, refused)
	}
	return err
}

// quit ends the session and waits for the server's word.
func (x *session) quit(ctx context.Context) error {
	err := x.do(ctx, "ending the session", func() error {
		x.g.expect(nil, 0)
		failpoint.Hit("pop3.quit.before")
		return x.client.Quit()
	})
	failpoint.Hit("pop3.quit.after")
	x.broken = true
	return err
}
