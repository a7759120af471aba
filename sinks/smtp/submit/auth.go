package submit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
)

const (
	// maxCommand is the longest command, CRLF included (RFC 5321 section 4.5.3.1.4). A
	// longer initial response waits for a challenge (RFC 4954 section 4).
	maxCommand = 512
	// maxSteps bounds an exchange; the longest has two challenges and the error of
	// OAuth.
	maxSteps = 8
)

// signIn uses the best mechanism the server offers, where there is anything to
// sign in with.
func (x *session) signIn(ctx context.Context, token secret.Secret) error {
	o := x.client.o
	c := o.credentials(token)
	if !o.signsIn() {
		return nil
	}
	record := dial.RecordOf(ctx)
	record.Begin(dial.StepSignIn)
	_, list := x.lib.Extension("AUTH")
	client, way := sasl.Choose(strings.Fields(list), c, o.Server.Mode != dial.Plain)
	if client == nil {
		return x.noWay(list)
	}
	doing := "signing in by certificate"
	if o.Username != "" {
		doing = "signing in as " + printable(o.Username)
	}
	doing += " (" + way + ")"
	// The library's Auth sends "*" behind a refusal, and waits for an answer to it.
	if err := x.do(ctx, SignIn, doing, commandTimeout, func() error { return x.exchange(client) }); err != nil {
		return err
	}
	if x.g.last.Code != 235 {
		e := x.refused(SignIn, doing)
		e.Hint = signInHint(o.Server.Host, e.Reply.Text, !token.IsZero())
		return e
	}
	record.Said("signed in as %s by %s", o.Username, way)
	return nil
}

// credentials are what the account signs in with.
func (o *Options) credentials(token secret.Secret) sasl.Credentials {
	port, _ := strconv.Atoi(o.Server.Port) // 0 is left out
	return sasl.Credentials{
		Username: o.Username, Password: o.Password, Token: token, Certificate: o.TLS.ClientCert != "", Only: o.Auth,
		Host: o.Server.Host, Port: port,
	}
}

// signsIn tells whether there is anything to sign in with. A client certificate
// by itself is shown to TLS, and relays go by that; EXTERNAL has to be asked for.
func (o *Options) signsIn() bool {
	return o.Username != "" || strings.EqualFold(o.Auth, sasl.External)
}

func (x *session) noWay(list string) error {
	e := &Error{Step: SignIn, Doing: "signing in as " + printable(x.client.o.Username)}
	if list == "" {
		e.Err = errors.New("the server offers no sign-in")
	} else {
		e.Err = fmt.Errorf("the server offers no way to sign in that can be used here; its mechanisms are %s", printable(list))
	}
	switch {
	case x.client.o.Auth != "":
		e.Hint = "leave auth out, or name one that the server offers"
	case list == "" && x.client.o.Server.Mode == dial.Plain:
		e.Hint = "most servers offer it under TLS alone: remove insecure; a relay that wants no sign-in gets no username"
	case list == "":
		e.Hint = "check the port in server: submission is on 587 (smtp://) and 465 (smtps://); a relay that wants no sign-in gets no username"
	case x.client.o.Tokens != nil:
		e.Hint = "the server takes no OAuth 2.0 tokens; use a password"
	default:
		e.Hint = "use another way to sign in: a password, or oauth2"
	}
	return e
}

// exchange runs a SASL exchange (RFC 4954 section 4) to the server's verdict,
// which is in the guard's last reply. LOGIN, which no RFC defines, begins without
// an initial response, since not every server takes one.
func (x *session) exchange(client gosasl.Client) error {
	mechanism, initial, err := client.Start()
	if err != nil {
		return err
	}
	line := "AUTH " + mechanism
	if first := initialResponse(initial); first != "" && mechanism != sasl.Login && len(line)+1+len(first)+2 <= maxCommand {
		line, initial = line+" "+first, nil
	}
	for range maxSteps {
		if err := x.g.command(line); err != nil {
			return err
		}
		if x.g.last.Code != 334 {
			return nil
		}
		challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(x.g.first))
		if err != nil {
			return x.cancel("a challenge of the sign-in is no base64")
		}
		response := initial
		if initial == nil {
			if response, err = client.Next(challenge); err != nil {
				return x.cancel("the sign-in did not run as it must: " + printable(err.Error()))
			}
		}
		line, initial = base64.StdEncoding.EncodeToString(response), nil
	}
	return x.cancel("the server asks on and on while signing in")
}

// cancel ends an exchange (RFC 4954 section 4), and the session with it.
func (x *session) cancel(why string) error {
	_ = x.g.command("*") // whatever the answer is
	x.g.err = &violation{why}
	return x.g.err
}

// initialResponse is how one stands in the command: "=" for one that is there and
// empty, "" for none.
func initialResponse(ir []byte) string {
	switch {
	case ir == nil:
		return ""
	case len(ir) == 0:
		return "="
	}
	return base64.StdEncoding.EncodeToString(ir)
}
