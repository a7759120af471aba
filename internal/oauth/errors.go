package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
)

// Error is a failure to get a token. It holds no secret.
type Error struct {
	Refused     bool   // the authorisation server said no; asking again does not help
	Unreachable bool   // it was not come to at all
	Err         error  // in its words
	Hint        string // what to change; may be empty
}

// Error implements error.
func (e *Error) Error() string { return "no access token: " + e.Err.Error() }

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// IsRefused reports whether the authorisation server has refused for good.
func IsRefused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Refused
}

// maxWords is how much of an answer is shown.
const maxWords = 400

// refusals are the error codes that ask for a human (RFC 6749 section 5.2, OpenID
// Connect Core section 3.1.2.6).
var refusals = []string{
	"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request",
	"access_denied", "interaction_required", "login_required", "consent_required", "account_selection_required",
}

// hints say what to change; the first whose word occurs in the answer counts.
var hints = []struct{ word, hint string }{
	{"AADSTS7000222", "the client secret has expired: make a new one in the app registration"},
	{"AADSTS7000215", "client_secret is wrong: configure the secret's value, not its id"},
	{"AADSTS700016", "the tenant does not know this client_id: check client_id and tenant"},
	{"AADSTS90002", "there is no such tenant: check tenant"},
	{"AADSTS700082", "the refresh token has ended because it was not used for long: sign in again and configure the new one"},
	{"AADSTS50173", "the password was changed, which ends refresh tokens: sign in again and configure the new one"},
	{"AADSTS65001", "the permission was not consented to: sign in again with the scopes of docs/providers.md, or have an administrator consent"},
	{"AADSTS50076", "the tenant wants a second factor: sign in again with it and configure the new refresh token"},
	{"AADSTS50079", "the tenant wants a second factor: sign in again with it and configure the new refresh token"},
	{"invalid_grant", "the refresh token has ended or was withdrawn: sign in again and configure the new one"},
	{"invalid_client", "check client_id and client_secret"},
	{"unauthorized_client", "check client_id; the application may not be allowed this kind of grant"},
	{"invalid_scope", "check scopes"},
}

// failure makes an Error of what a request came to.
func failure(err error, host string, secrets ...secret.Secret) *Error {
	hide := dial.NewHider(secrets...)
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return answered(said, host, hide)
	}
	e := &Error{Hint: "the authorisation server is tried again; check token_url"}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // without the URL
		e.Unreachable, e.Hint = true, "check that this machine reaches "+host
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Err = fmt.Errorf("%s did not answer in time: %w", host, context.DeadlineExceeded)
	default:
		e.Err = fmt.Errorf("%s: %s", host, shorten(hide.Clean(err.Error())))
	}
	return e
}

// answered is an answer that is no token.
func answered(said *oauth2.RetrieveError, host string, hide *dial.Hider) *Error {
	status := 0
	if said.Response != nil {
		status = said.Response.StatusCode
	}
	words := strings.TrimSpace(said.ErrorCode + " " + said.ErrorDescription)
	if words == "" {
		words = string(said.Body[:min(len(said.Body), 4*maxWords)])
	}
	e := &Error{Err: fmt.Errorf("%s answered %d: %s", host, status, shorten(hide.Clean(words)))}
	e.Refused = slices.Contains(refusals, said.ErrorCode) ||
		said.ErrorCode == "" && (status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden)
	for _, h := range hints {
		if strings.Contains(words, h.word) {
			e.Hint = h.hint
			break
		}
	}
	if status == http.StatusTooManyRequests || status >= 500 {
		e.Refused, e.Hint = false, "the authorisation server has trouble of its own; it is tried again"
	}
	return e
}

// shorten makes text one printable line of bounded length.
func shorten(text string) string {
	text = dial.Printable(strings.TrimSpace(text))
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}
