package submit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/internal/secret"
)

// session is one connection that has been signed in on.
type session struct {
	client *Client
	g      *guard
	lib    *smtp.Client
	kept   bool // it has served a mail before
	open   bool // a transaction has begun and not ended
	broken bool // nothing more can be asked
	idle   *time.Timer
}

// connect opens a session.
func (c *Client) connect(ctx context.Context, token secret.Secret) (*session, error) {
	doing := "connecting to " + c.o.Server.Address()
	failpoint.Hit("smtp.connect.before")
	conn, err := c.dial(ctx)
	failpoint.Hit("smtp.connect.after")
	if err != nil {
		return nil, connectError(ctx, doing, err)
	}
	if c.o.Server.Mode == dial.Plain {
		c.o.Logger.Warn("connection is not encrypted", "server", c.o.Server.Address())
	}
	x := &session{client: c, g: newGuard(conn, dial.NewHider(c.o.Password, token))}
	if err := x.begin(ctx, doing, token); err != nil {
		x.drop()
		return nil, err
	}
	return x, nil
}

// begin greets, secures and signs in.
func (x *session) begin(ctx context.Context, doing string, token secret.Secret) error {
	mode := x.client.o.Server.Mode
	record := dial.RecordOf(ctx)
	record.Begin(dial.StepGreeting)
	if err := x.do(ctx, Greeting, doing, commandTimeout, x.g.reply); err != nil {
		if e, ok := errors.AsType[*Error](err); ok && errors.Is(err, os.ErrDeadlineExceeded) {
			e.Hint = x.client.o.Server.SilenceHint()
		}
		return err
	}
	if x.g.last.Code != 220 {
		return x.refused(Greeting, doing)
	}
	record.Said("%s", record.Clean(x.g.last.Text))
	name := helloName(x.client.o.Hello, x.g.LocalAddr())
	if mode == dial.StartTLS {
		if err := x.secure(ctx, name); err != nil {
			return err
		}
	}
	x.lib = smtp.NewClient(x.g)
	x.lib.CommandTimeout = commandTimeout
	x.lib.SubmissionTimeout = endTimeout
	record.Begin(dial.StepCapabilities)
	err := x.do(ctx, Hello, "introducing ourselves as "+name, commandTimeout, func() error {
		// What was said so far is forgotten (RFC 3207 section 4.2); the library is given a
		// greeting of ours.
		x.g.pending = []byte("220 ready\r\n")
		return x.lib.Hello(name)
	})
	if err != nil {
		return err
	}
	record.Offers(x.g.lines[min(1, len(x.g.lines)):])
	return x.signIn(ctx, token)
}

// secure upgrades the connection (RFC 3207 section 4). It is required: there is
// no way on without.
func (x *session) secure(ctx context.Context, name string) error {
	doing := "securing the connection to " + x.client.o.Server.Address()
	if err := x.do(ctx, Hello, doing, commandTimeout, func() error { return x.g.command("EHLO " + name) }); err != nil {
		return err
	}
	if x.g.last.Code/100 != 2 {
		return x.refused(Hello, doing)
	}
	if !x.g.offers("STARTTLS") {
		return &Error{Step: StartTLS, Doing: doing, Err: errors.New("the server does not offer STARTTLS"), Hint: secureHint}
	}
	dial.RecordOf(ctx).Begin(dial.StepTLS)
	if err := x.do(ctx, StartTLS, doing, commandTimeout, func() error { return x.g.command("STARTTLS") }); err != nil {
		return err
	}
	if x.g.last.Code != 220 {
		e := x.refused(StartTLS, doing)
		e.Hint = secureHint
		return e
	}
	injected, _ := x.g.r.Peek(x.g.r.Buffered())
	if err := x.g.Upgrade(ctx, x.client.tls, injected...); err != nil {
		x.broken = true
		return connectError(ctx, doing, err)
	}
	return nil
}

const secureHint = "use smtps:// (port 465) if the server offers it; insecure: true gives up encryption"

// do carries out one step. The connection is closed when ctx ends, which ends a
// blocked call too, and when the step takes longer than it may. A refusal is an
// *Error with the Reply and leaves the session in order, unless it is 421; all else
// finishes the session.
func (x *session) do(ctx context.Context, step Step, doing string, timeout time.Duration, f func() error) error {
	switch {
	case ctx.Err() != nil:
		return x.fail(ctx, step, doing, ctx.Err())
	case x.broken:
		return x.fail(ctx, step, doing, net.ErrClosed)
	}
	stop := context.AfterFunc(ctx, func() { x.g.connection.Close() })
	defer stop()
	x.g.step, x.g.last = step, Reply{}
	err := x.g.quiet()
	if err == nil {
		x.g.SetDeadline(time.Now().Add(timeout))
		err = f()
		x.g.SetDeadline(time.Time{})
	}
	switch _, refused := errors.AsType[*smtp.SMTPError](err); {
	case x.g.err != nil:
		return x.fail(ctx, step, doing, x.g.err)
	case ctx.Err() != nil && (err != nil || step != End):
		return x.fail(ctx, step, doing, ctx.Err())
	case refused:
		return x.refused(step, doing)
	case err != nil:
		return x.fail(ctx, step, doing, err)
	}
	return nil
}

// refused makes an error of the server's last reply.
func (x *session) refused(step Step, doing string) *Error {
	if x.g.last.Code == 421 { // the server is closing the connection (RFC 5321 section 3.8)
		x.drop()
	}
	return &Error{Step: step, Doing: doing, Reply: x.g.last}
}

// fail finishes the session.
func (x *session) fail(ctx context.Context, step Step, doing string, err error) error {
	x.drop()
	if ctx.Err() != nil {
		return &Error{Step: step, Doing: doing, Err: context.Cause(ctx)}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the server closed the connection: %w", err)
	}
	return &Error{Step: step, Doing: doing, Err: err}
}

// offered are the server's limits.
func (x *session) offered() Offers {
	var o Offers
	o.EightBit, _ = x.lib.Extension("8BITMIME")
	o.UTF8, _ = x.lib.Extension("SMTPUTF8")
	size, _ := x.lib.MaxMessageSize()
	o.MaxSize = int64(size)
	return o
}

// reset ends a transaction that was begun and not completed.
func (x *session) reset(ctx context.Context) {
	if x.broken || !x.open {
		return
	}
	// The library's Reset has it say EHLO again before the next command.
	err := x.do(ctx, Reset, "resetting", commandTimeout, func() error { return x.g.command("RSET") })
	if err != nil || x.g.last.Code/100 != 2 {
		x.drop()
	}
	x.open = false
}

// goodbye is how long quit waits for the answer, which changes nothing.
const goodbye = 2 * time.Second

// quit ends the session in order.
func (x *session) quit() {
	if !x.broken {
		x.g.step = ""
		x.g.SetDeadline(time.Now().Add(goodbye))
		_ = x.g.command("QUIT") // a courtesy: RFC 5321 section 4.1.1.10
	}
	x.drop()
}

// drop closes the connection. A mail under way is not ended by that: without the
// dot the server has none.
func (x *session) drop() {
	x.broken = true
	x.g.connection.Close()
}
