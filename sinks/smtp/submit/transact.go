package submit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postferry/postferry/internal/failpoint"
)

// early is how long the answer of a server is waited for that stops taking the
// data before its end.
const early = 5 * time.Second

// transact gives the mail to recipients in one transaction (RFC 5321 section 3.3)
// and tells in the report what the server said about each. later are those that it
// wants in another transaction. The error is of what concerns all of them: the
// connection, or MAIL.
func (x *session) transact(ctx context.Context, m *Mail, to []string, r *Report) (later []string, err error) {
	x.open = true
	doing := "giving the mail as <" + printable(m.From) + ">"
	err = x.do(ctx, From, doing, commandTimeout, func() error {
		return x.lib.Mail(m.From, &smtp.MailOptions{Size: m.Size, UTF8: m.UTF8})
	})
	if err != nil {
		return nil, err
	}
	var accepted []string
	for i, rcpt := range to {
		doing := "giving the mail for <" + printable(rcpt) + ">"
		err := x.do(ctx, To, doing, commandTimeout, func() error { return x.lib.Rcpt(rcpt, nil) })
		refused, ok := errors.AsType[*Error](err)
		if ok {
			refused.To = rcpt
		}
		switch {
		case err == nil:
			accepted = append(accepted, rcpt)
		case !ok || x.broken:
			return nil, err
		case len(accepted) > 0 && isTooMany(refused.Reply):
			later = to[i:]
		default:
			r.Refused = append(r.Refused, Refusal{rcpt, refused})
		}
		if later != nil {
			break
		}
	}
	if len(accepted) == 0 {
		return nil, nil
	}
	err = x.data(ctx, m, accepted, r)
	switch refused, ok := errors.AsType[*Error](err); {
	case err == nil:
		x.open, r.Accepted = false, append(r.Accepted, accepted...)
	case ok && refused.Reply.Code != 0:
		for _, rcpt := range accepted {
			r.Refused = append(r.Refused, Refusal{rcpt, refused})
		}
		if x.broken { // 421, or the data was not taken to its end
			return nil, err
		}
	default:
		return nil, err
	}
	return later, nil
}

// isTooMany tells whether the server wants further recipients in a transaction
// of their own (RFC 5321 section 4.5.3.1.10; 552 is what it was called before).
func isTooMany(r Reply) bool {
	return r.Code == 452 && (r.Enhanced.Class == 0 || r.Enhanced.Detail == 3 && r.Enhanced.Subject == 5) ||
		r.Code == 552 && r.Enhanced.Class == 0
}

// data sends the mail's octets and waits for the answer that counts.
func (x *session) data(ctx context.Context, m *Mail, accepted []string, r *Report) error {
	doing := "giving the mail for " + list(accepted)
	var w *smtp.DataCommand
	err := x.do(ctx, Data, doing, dataTimeout, func() (err error) {
		x.lib.CommandTimeout = dataTimeout
		w, err = x.lib.Data()
		x.lib.CommandTimeout = commandTimeout
		return err
	})
	if err != nil {
		return err
	}
	if err := x.body(ctx, doing, m, w); err != nil {
		return err
	}
	err = x.do(ctx, End, doing, endTimeout, func() error {
		_, err := w.CloseWithResponse()
		if x.g.last.Code/100 == 2 { // the library wants 250
			return nil
		}
		return err
	})
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Reply.Code == 0 {
			e.Lost = true
			return err
		}
		x.open = false // an answer to the end ends the transaction, whatever it is
	}
	r.Reply = x.g.last
	return err
}

// body sends the mail without its end. A mail that cannot be read to its end is
// given up with the connection, so that no part of it is taken for the whole.
func (x *session) body(ctx context.Context, doing string, m *Mail, w io.Writer) error {
	src, err := m.Open()
	if err != nil {
		x.drop()
		return &Error{Step: Data, Doing: doing, Err: fmt.Errorf("opening the mail: %w", err)}
	}
	defer src.Close()
	stop := context.AfterFunc(ctx, func() { x.g.connection.Close() })
	defer stop()
	to := &lineWriter{w: w}
	buf, n := make([]byte, bufSize), int64(0)
	for {
		got, readErr := src.Read(buf)
		n += int64(got)
		if _, err := to.Write(buf[:got]); err != nil {
			return x.stopped(ctx, doing, err)
		}
		if got > 0 {
			failpoint.Hit("smtp.data.part")
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			x.drop()
			return &Error{Step: Data, Doing: doing, Err: fmt.Errorf("reading the mail: %w", readErr)}
		}
	}
	if n != m.Size {
		x.drop()
		return &Error{Step: Data, Doing: doing, Err: fmt.Errorf("the mail has %d octets and not %d", n, m.Size)}
	}
	return nil
}

// stopped is the error of a server that takes no more of the data. Some say why
// before they close the connection.
func (x *session) stopped(ctx context.Context, doing string, err error) error {
	x.g.err = nil
	x.g.w.Reset(io.Discard)
	x.g.SetDeadline(time.Now().Add(early))
	said := x.g.reply()
	x.drop()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case said == nil && x.g.last.Code >= 400:
		return &Error{Step: Data, Doing: doing, Reply: x.g.last}
	case errors.Is(err, os.ErrDeadlineExceeded):
	default:
		err = fmt.Errorf("the server closed the connection in the middle of the mail: %w", err)
	}
	return &Error{Step: Data, Doing: doing, Err: err}
}

// list names recipients, the first few of them.
func list(to []string) string {
	const few = 3
	shown := make([]string, 0, few)
	for _, r := range to[:min(few, len(to))] {
		shown = append(shown, "<"+printable(r)+">")
	}
	text := strings.Join(shown, ", ")
	if n := len(to) - few; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
