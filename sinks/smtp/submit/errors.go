package submit

import (
	"context"
	"errors"
	"fmt"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/oauth"
)

// Step is where in the dialogue something failed.
type Step string

// The steps, in the order of the dialogue.
const (
	Token    Step = "access token" // of OAuth 2.0
	Connect  Step = "connect"      // name, TCP and TLS
	Greeting Step = "greeting"     // 220
	Hello    Step = "EHLO"         // and HELO
	StartTLS Step = "STARTTLS"     //
	SignIn   Step = "AUTH"         //
	From     Step = "MAIL"         //
	To       Step = "RCPT"         //
	Data     Step = "DATA"         // 354, and the octets
	End      Step = "end of data"  // the answer that counts
	Unable   Step = "before MAIL"  // the mail needs what the server does not offer
	Reset    Step = "RSET"         //
)

// Error is a failure to give a mail to the server.
type Error struct {
	Step  Step
	To    string // the recipient that was refused, at RCPT
	Doing string // "signing in as u (PLAIN)", "giving the mail for a@example.com"
	Reply Reply  // what the server said; zero where it said nothing
	Err   error  // what happened where there was no Reply: the network, TLS, a token
	Lost  bool   // the mail was sent whole and the answer was lost: it may have been accepted
	Hint  string // what to change; where it is empty Grade has it

	Others int // how many other recipients were refused, with other words perhaps
}

// Error is what was being done and the server's words.
func (e *Error) Error() string {
	switch {
	case e.Reply.Code != 0 && e.Others > 0:
		return fmt.Sprintf("%s: %s (and %d more refused)", e.Doing, e.Reply, e.Others)
	case e.Reply.Code != 0:
		return fmt.Sprintf("%s: %s", e.Doing, e.Reply)
	case e.Lost:
		return fmt.Sprintf("%s: the answer to the end of the data was lost, so it may have been accepted: %v", e.Doing, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Doing, e.Err)
}

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// connectError is a failure to connect or to secure the connection.
func connectError(ctx context.Context, doing string, err error) error {
	e := &Error{Step: Connect, Doing: doing, Err: err}
	if failed, ok := errors.AsType[*dial.Error](err); ok {
		e.Hint = failed.Hint
	}
	if ctx.Err() != nil {
		e.Err, e.Hint = context.Cause(ctx), ""
	}
	return e
}

// tokenError is a failure to get an access token.
func tokenError(err error) error {
	e := &Error{Step: Token, Doing: "getting an access token", Err: err}
	if met, ok := errors.AsType[*oauth.Error](err); ok {
		e.Hint = met.Hint
	}
	return e
}
