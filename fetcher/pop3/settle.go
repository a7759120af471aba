package pop3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

// Settle implements fetcher.Session: DELE for each mail that is due and still
// there, then QUIT, whose reply alone says that they are deleted (RFC 1939
// section 6). A mail that is not listed has gone already, unless all mails have other
// unique-ids than before. A DELE that is refused does not hold up the others; it is
// reported after QUIT. Where the refusal says that the server cannot go on, what was
// marked is unmarked (RSET), so that nothing is deleted that is not known to be. POP3
// knows deletion only, so every other action is reported as one that cannot be done.
func (x *session) Settle(ctx context.Context, due []spool.Settlement) error {
	headers := slices.ContainsFunc(due, func(d spool.Settlement) bool { return strings.HasPrefix(d.UID, headerMark) })
	if err := x.known(ctx, headers); err != nil {
		return err
	}
	var failed []error
	var marks []string
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
		_, there := x.numbers[d.UID]
		switch {
		case done[d.UID]:
		case there:
			marks = append(marks, d.UID)
		case x.renamed:
			failed = append(failed, renamed(d))
		default: // gone already, which is what was wanted
		}
		done[d.UID] = true
	}
	if len(marks) > 0 {
		x.src.memory.deleting()
	}
	refused, err := x.delete(ctx, marks)
	if err != nil {
		return err
	}
	failed = append(failed, refused...)
	if err := x.quit(ctx); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// renamed reports a mail that may be there under another unique-id. It is known again
// by its content once it has been retrieved.
func renamed(d spool.Settlement) error {
	return &fetcher.Error{
		Radius: fetcher.MessageRadius, Cause: fetcher.Temporary, Op: "deleting", UID: printable(d.UID),
		Err: errors.New("the server has given its mails other unique-ids; it is known again by its content"),
	}
}

func unsupported(d spool.Settlement) error {
	return &fetcher.Error{
		Radius: fetcher.MessageRadius, Cause: fetcher.Protocol, Op: "settling", UID: printable(d.UID),
		Err:  fmt.Errorf("POP3 has no %q", printable(string(d.Action.Verb))),
		Hint: "use keep or delete with POP3, or take the mail by IMAP",
	}
}

// delete marks mails. refused are of radius Message; err says that the session is
// over, or that nothing is marked.
func (x *session) delete(ctx context.Context, uids []string) (refused []error, err error) {
	const op = "deleting"
	err = x.burst(ctx, op, len(uids), func(i int) string {
		failpoint.Hit("pop3.dele.before")
		return "DELE " + strconv.Itoa(x.numbers[uids[i]])
	}, func(i int) error {
		err := x.g.reply()
		failpoint.Hit("pop3.dele.after")
		said, ok := errors.AsType[*refusal](err)
		if err == nil {
			x.moved++
			x.marked++
			x.markedOctets += int(x.sizes[uids[i]])
		}
		if !ok {
			return err
		}
		if e := messageError(op, printable(uids[i]), said); fetcher.RadiusOf(e) == fetcher.MessageRadius {
			refused = append(refused, e)
			return nil
		}
		return said
	})
	if err != nil && !x.broken {
		x.reset(ctx)
	}
	return refused, err
}

// reset unmarks all mails (RFC 1939 section 5, RSET), for servers that delete at the
// end of a session however it comes, and ends the session.
func (x *session) reset(ctx context.Context) {
	err := x.do(ctx, "unmarking the mails", func() error {
		x.g.expect(nil, 0)
		_, err := x.client.Cmd("RSET", false)
		return err
	})
	if err == nil {
		x.marked = 0
		_ = x.quit(ctx) // nothing hangs on it
	}
	x.broken = true
	x.g.Close()
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
	if err == nil {
		x.src.memory.ended(x)
		x.src.memory.deleted(x)
	}
	return err
}
