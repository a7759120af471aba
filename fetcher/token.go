package fetcher

import (
	"context"
	"errors"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
)

// OpenWithToken opens a session that signs in with an access token. Where the
// server refuses the token it is replaced and the session opened once more, on a
// connection of its own, since few servers go on after a refused sign-in: a token
// may be withdrawn before its time. A second refusal reaches as far as the account.
// Errors of the source are graded: a refusal of the authorisation server reaches as
// far as the account, all else as far as the session. op is what is being done,
// "signing in as ada@example.com".
func OpenWithToken(ctx context.Context, op string, tokens sasl.TokenSource, open func(token secret.Secret) (Session, error)) (Session, error) {
	token, err := tokens.Token(ctx)
	if err != nil {
		return nil, tokenError(op, err)
	}
	dial.RecordOf(ctx).Hide(token)
	s, err := open(token)
	if err == nil || CauseOf(err) != Refused {
		return s, err
	}
	fresh, failed := tokens.Renew(ctx, token)
	if _, ok := errors.AsType[*oauth.Error](failed); ok || ctx.Err() != nil {
		return nil, tokenError(op, failed)
	}
	if failed != nil {
		return nil, err // there is no newer one: the server's words count
	}
	dial.RecordOf(ctx).Hide(fresh)
	return open(fresh)
}

func tokenError(op string, err error) error {
	e := &Error{Radius: SessionRadius, Cause: Temporary, Op: op, Err: err}
	if _, ok := errors.AsType[*dial.Error](err); ok {
		e.Cause = Unreachable // a step took too long
	}
	if met, ok := errors.AsType[*oauth.Error](err); ok {
		e.Hint = met.Hint
		switch {
		case met.Refused:
			e.Radius, e.Cause = AccountRadius, Refused
		case met.Unreachable:
			e.Cause = Unreachable
		}
	}
	return e
}
