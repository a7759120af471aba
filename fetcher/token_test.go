package fetcher_test

import (
	"context"
	"errors"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/internal/secret"
)

// tokens gives the tokens of a list, one after the other.
type tokens struct {
	first, second string
	err, renewErr error
	renewed       int
}

func (s *tokens) Token(context.Context) (secret.Secret, error) { return secret.New(s.first), s.err }

func (s *tokens) Renew(context.Context, secret.Secret) (secret.Secret, error) {
	s.renewed++
	return secret.New(s.second), s.renewErr
}

func TestOpenWithToken(t *testing.T) {
	refused := &fetcher.Error{Radius: fetcher.AccountRadius, Cause: fetcher.Refused, Op: "signing in", Err: errors.New("-ERR")}
	inUse := &fetcher.Error{Radius: fetcher.SessionRadius, Op: "signing in", Err: errors.New("-ERR [IN-USE]")}
	ended := &oauth.Error{Refused: true, Err: errors.New("invalid_grant"), Hint: "sign in again"}
	away := &oauth.Error{Unreachable: true, Err: errors.New("no route")}
	for _, c := range []struct {
		fact    string
		tokens  tokens
		server  map[string]error // by token
		renewed int
		radius  fetcher.Radius
		cause   fetcher.Cause
		says    string // "" is a session
	}{
		{"the token is good", tokens{first: "a"}, map[string]error{"a": nil}, 0, 0, 0, ""},
		{"the token was withdrawn", tokens{first: "a", second: "b"}, map[string]error{"a": refused, "b": nil}, 1, 0, 0, ""},
		{"the next one is refused too", tokens{first: "a", second: "b"}, map[string]error{"a": refused, "b": refused}, 1, fetcher.AccountRadius, fetcher.Refused, "signing in: -ERR"},
		{"there is no newer one", tokens{first: "a", renewErr: errors.New("just now")}, map[string]error{"a": refused}, 1, fetcher.AccountRadius, fetcher.Refused, "signing in: -ERR"},
		{"the grant ended meanwhile", tokens{first: "a", renewErr: ended}, map[string]error{"a": refused}, 1, fetcher.AccountRadius, fetcher.Refused, "signing in: no access token: invalid_grant — sign in again"},
		{"the authorisation server is away meanwhile", tokens{first: "a", renewErr: away}, map[string]error{"a": refused}, 1, fetcher.SessionRadius, fetcher.Unreachable, "signing in: no access token: no route"},
		{"the server refuses for another reason", tokens{first: "a", second: "b"}, map[string]error{"a": inUse}, 0, fetcher.SessionRadius, fetcher.Temporary, "signing in: -ERR [IN-USE]"},
		{"no token", tokens{err: ended}, nil, 0, fetcher.AccountRadius, fetcher.Refused, "signing in: no access token: invalid_grant — sign in again"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			_, err := fetcher.OpenWithToken(t.Context(), "signing in", &c.tokens, func(token secret.Secret) (fetcher.Session, error) {
				err, known := c.server[token.Reveal()]
				if !known {
					t.Errorf("token %q was used", token.Reveal())
				}
				return nil, err
			})
			if c.tokens.renewed != c.renewed {
				t.Errorf("renewed %d times, want %d", c.tokens.renewed, c.renewed)
			}
			switch {
			case c.says == "" && err != nil:
				t.Errorf("error %v", err)
			case c.says != "" && (err == nil || err.Error() != c.says || fetcher.RadiusOf(err) != c.radius || fetcher.CauseOf(err) != c.cause):
				t.Errorf("error %v, radius %d, cause %d; want %q, %d, %d", err, fetcher.RadiusOf(err), fetcher.CauseOf(err), c.says, c.radius, c.cause)
			}
		})
	}
}
