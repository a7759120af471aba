package submit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
)

// Client gives mails to one server, over a few connections that are kept for a
// while. It is safe for concurrent use.
type Client struct {
	o     Options
	tls   *tls.Config
	dial  func(context.Context) (connection, error)
	slots *semaphore.Weighted

	mu     sync.Mutex
	idle   []*session // the last used goes first
	closed bool
	timers sync.WaitGroup
}

// New makes a Client. It connects to nothing. Its error names the key of the
// configuration to change.
func New(o Options) (*Client, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	config, err := o.TLS.Config(o.Server.Host)
	if err != nil {
		return nil, err
	}
	d := &dial.Dialer{Server: o.Server, TLS: config, Limits: dial.Limits{Read: endTimeout, Write: blockTimeout}}
	return &Client{
		o: o, tls: config, slots: semaphore.NewWeighted(int64(o.Connections)),
		dial: func(ctx context.Context) (connection, error) {
			c, err := d.Dial(ctx)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
	}, nil
}

// Send gives one mail to the server and waits until it has taken responsibility
// for it. The error is nil when every recipient was accepted. Else it is of type
// *Error (Grade says what follows from it), or what make returned; recipients in
// Report.Accepted have the mail nevertheless. When ctx ends, its cause is in the
// chain of the error; nothing can be said then of a mail whose end was sent.
func (c *Client) Send(ctx context.Context, make Maker) (Report, error) {
	if err := c.slots.Acquire(ctx, 1); err != nil {
		return Report{}, &Error{Step: Connect, Doing: "waiting for a connection to " + c.o.Server.Address(), Err: context.Cause(ctx)}
	}
	defer c.slots.Release(1)
	x, err := c.session(ctx)
	if err != nil {
		return Report{}, err
	}
	m, err := make(x.offered())
	if err == nil {
		err = x.fits(m)
	}
	if err != nil {
		c.keep(x)
		return Report{}, err
	}
	var r Report
	for to := m.To; ; {
		later, err := x.transact(ctx, m, to, &r)
		if err != nil && x.isStale(err) {
			if x, err = c.fresh(ctx); err != nil {
				return r, err
			}
			continue
		}
		if err == nil {
			x.kept, to = true, later
		}
		if err != nil || len(to) == 0 {
			x.reset(ctx)
			c.keep(x)
			return r, r.failure(err)
		}
		x.reset(ctx)
	}
}

// failure is the error of a Send: what concerned all recipients, or else of what
// was said about single ones the gravest that does not condemn the mail, since it is
// to be tried again then.
func (r *Report) failure(err error) error {
	if err != nil || len(r.Refused) == 0 {
		return err
	}
	worst := r.Refused[0].Err
	for _, o := range r.Refused[1:] {
		if Grade(o.Err).Blame < Grade(worst).Blame {
			worst = o.Err
		}
	}
	decides := *worst
	decides.Others = len(r.Refused) - 1
	return &decides
}

// isStale tells of a connection that was kept and turned out to be of no more use
// before anything was given: the mail is given over another one.
func (x *session) isStale(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || !x.kept || e.Step != From {
		return false
	}
	x.kept = false
	// 503 and 530: a server that has forgotten the sign-in.
	stale := e.Reply.Code == 0 || e.Reply.Code == 421 || e.Reply.Code == 503 || e.Reply.Code == 530
	if stale {
		x.drop()
	}
	return stale && !errors.Is(e.Err, context.Canceled) && !errors.Is(e.Err, context.DeadlineExceeded)
}

// fits refuses, before MAIL, what the server would refuse after it.
func (x *session) fits(m *Mail) error {
	const doing = "giving the mail"
	o := x.offered()
	e := &Error{Step: Unable, Doing: doing}
	for _, a := range append([]string{m.From}, m.To...) {
		if !isPath(a) || a == "" && len(m.To) > 0 && slices.Contains(m.To, "") {
			e.Err = fmt.Errorf("%q is no address", printable(a))
			return e
		}
	}
	switch {
	case len(m.To) == 0:
		e.Err = errors.New("it has no recipients")
	case o.MaxSize > 0 && m.Size > o.MaxSize:
		e.Err = fmt.Errorf("it has %d octets, and the server takes %d", m.Size, o.MaxSize)
		e.Hint = "have the server's limit raised, or send it without attachments"
	case m.UTF8 && !o.UTF8:
		e.Err = errors.New("it has addresses or header fields that are not ASCII, and the server does not offer SMTPUTF8")
		e.Hint = "use another server for such mail"
	case m.EightBit && !o.EightBit && !o.UTF8: // RFC 6531 section 3.1: SMTPUTF8 includes it
		e.Err = errors.New("it has octets above 127, and the server does not offer 8BITMIME")
		e.Hint = "use another server for such mail"
	default:
		return nil
	}
	return e
}

// isPath tells whether an address may stand between < and >. What is in it goes no
// further than to this transaction, so it is not looked at more closely.
func isPath(address string) bool {
	return len(address) <= maxPath && !strings.ContainsFunc(address, func(r rune) bool {
		return r <= ' ' && r != ' ' || r == 0x7f || r == '<' || r == '>'
	})
}

// maxPath is more than RFC 5321 section 4.5.3.1.3 allows, and less than a command.
const maxPath = 400

// session gives one to use: one that was kept, or a new one.
func (c *Client) session(ctx context.Context) (*session, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		x := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if x.idle.Stop() {
			c.timers.Done()
		}
		c.mu.Unlock()
		return x, nil
	}
	c.mu.Unlock()
	return c.fresh(ctx)
}

// fresh opens a session. Where the server refuses an access token it is replaced
// and tried once more, on a connection of its own: a token may be withdrawn before
// its time.
func (c *Client) fresh(ctx context.Context) (*session, error) {
	if c.o.Tokens == nil {
		return c.connect(ctx, secret.Secret{})
	}
	token, err := c.o.Tokens.Token(ctx)
	if err != nil {
		return nil, tokenError(err)
	}
	dial.RecordOf(ctx).Hide(token)
	x, err := c.connect(ctx, token)
	if e, ok := errors.AsType[*Error](err); !ok || e.Step != SignIn || e.Reply.Code < 500 {
		return x, err
	}
	renewed, failed := c.o.Tokens.Renew(ctx, token)
	if failed != nil {
		return nil, err // the server's words count
	}
	dial.RecordOf(ctx).Hide(renewed)
	return c.connect(ctx, renewed)
}

// keep puts a session away for the next mail, or ends it.
func (c *Client) keep(x *session) {
	if x.broken {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		x.quit()
		return
	}
	c.timers.Add(1)
	x.idle = time.AfterFunc(c.o.Idle, func() {
		defer c.timers.Done()
		if c.forget(x) {
			x.quit()
		}
	})
	c.idle = append(c.idle, x)
}

// forget takes a session out of those that are kept; false: it is not among them.
func (c *Client) forget(x *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	c.idle = slices.DeleteFunc(c.idle, func(o *session) bool { return o == x })
	return len(c.idle) < n
}

// Close ends the connections; no Send is running then.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	kept := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, x := range kept {
		if x.idle.Stop() {
			c.timers.Done()
		}
		x.quit()
	}
	c.timers.Wait()
	return nil
}

// Format implements fmt.Formatter: printing a Client shows no secret.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.o.Server) }
