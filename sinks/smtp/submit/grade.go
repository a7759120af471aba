package submit

import (
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/oauth"
)

// Blame is whose matter a failure is, the one that must not end a mail first.
type Blame int

// The blames.
const (
	Account   Blame = iota // the sink's: server, address or sign-in. The sink is held; no mail suffers
	Passing                // it passes: the mail is tried again as its schedule says
	Recipient              // the mail's, or this recipient's: a dead letter
)

// String is the blame in words.
func (b Blame) String() string {
	return [...]string{"the sink is held", "tried again", "dead letter"}[b]
}

// Verdict is what follows from a failure, in the words of docs/smtp.md.
type Verdict struct {
	Blame Blame
	Means string // what it means
	Do    string // what to do about it; never empty
}

// Grade says what follows from an error of Send that is an *Error; any other
// passes.
func Grade(err error) Verdict {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return Verdict{Blame: Passing, Means: "an error of this machine", Do: "see the error"}
	}
	v := e.verdict()
	if e.Hint != "" {
		v.Do = e.Hint
	}
	return v
}

func (e *Error) verdict() Verdict {
	if e.Reply.Code == 0 {
		return e.silent()
	}
	text := strings.ToLower(e.Reply.Text)
	if e.To != "" { // an address is no word of the server's
		text = strings.ReplaceAll(text, strings.ToLower(e.To), "")
	}
	for _, c := range codes {
		if c.fits(e.Step, e.Reply, text) {
			return Verdict{c.Blame, c.Means, c.Do}
		}
	}
	return Verdict{Passing, "an answer that this step does not have", "check that server names an SMTP server; if it does, ask its operator"}
}

// silent grades a failure that came with no reply.
func (e *Error) silent() Verdict {
	_, violated := errors.AsType[*violation](e.Err)
	_, dns := errors.AsType[*net.DNSError](e.Err)
	refused, token := errors.AsType[*oauth.Error](e.Err)
	v := Verdict{Passing, "the network, or the server, failed in the middle", "nothing, unless it lasts: then check the network, firewalls and the server"}
	switch {
	case e.Step == Unable:
		v.Blame, v.Means, v.Do = Recipient, "the mail is not one this server takes", "see the error"
	case e.Step == SignIn, e.Step == StartTLS:
		v.Blame, v.Means, v.Do = Account, "the server does not offer what this sink needs", "check server, insecure and auth"
		if violated || errors.Is(e.Err, net.ErrClosed) || dialled(e.Err) {
			v = Verdict{Passing, "the network, or the server, failed in the middle", "nothing, unless it lasts: then check the network, firewalls and the server"}
		}
	case token && refused.Refused:
		v.Blame, v.Means, v.Do = Account, "the authorisation server refuses an access token", "check oauth2"
	case dns:
		v.Blame, v.Means, v.Do = Account, "the name of the server was not found", "check the host name in server, and this machine's name server"
	case dial.Untrusted(e.Err):
		v.Blame, v.Means, v.Do = Account, "TLS did not establish who the server is", "check tls, and the server's certificate"
	case violated:
		v.Means, v.Do = "what answers is no SMTP server, or a broken one", "check host and port in server: smtp:// begins in clear text (587), smtps:// in TLS (465)"
	case e.Step == Connect:
		v.Means, v.Do = "the server cannot be reached", "check host and port in server, and the firewalls in between; many networks block port 25: use 587 or 465"
	}
	return v
}

// dialled tells of an error of the connection.
func dialled(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || slices.ContainsFunc([]string{"closed the connection", "broken pipe", "reset by peer"}, func(s string) bool { return strings.Contains(err.Error(), s) })
}
