// Package sasl picks and makes the client side of a SASL exchange (RFC 4422)
// for IMAP, POP3 and SMTP. Choose takes what the server offers and what the
// operator configured and returns one mechanism, best first:
//
//   - with a token: OAUTHBEARER (RFC 7628), then XOAUTH2 (Google, Microsoft);
//   - with a password on an encrypted connection: PLAIN (RFC 4616), LOGIN,
//     CRAM-MD5 (RFC 2195);
//   - with a password in clear text: CRAM-MD5 first, since it does not show the
//     password to who listens.
//
// The exchanges are those of emersion/go-sasl; what it lacks (XOAUTH2,
// CRAM-MD5) is here. The protocol package carries the challenges.
package sasl

import (
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/postferry/postferry/internal/secret"
)

// The mechanisms this package speaks.
const (
	Plain       = sasl.Plain
	Login       = sasl.Login
	OAuthBearer = sasl.OAuthBearer
	CramMD5     = "CRAM-MD5"
	XOAuth2     = "XOAUTH2"
)

// Credentials are what one account signs in with: a password, or an OAuth 2.0
// access token, which wins where both are set.
type Credentials struct {
	Username string
	Password secret.Secret
	Token    secret.Secret
	Host     string // of the server, for OAUTHBEARER's "host" field
	Port     int    // and "port"; 0 leaves it out
}

// Preference lists the mechanisms that fit the credentials, best first.
func (c Credentials) Preference(encrypted bool) []string {
	switch {
	case !c.Token.IsZero():
		return []string{OAuthBearer, XOAuth2}
	case encrypted:
		return []string{Plain, Login, CramMD5}
	default:
		return []string{CramMD5, Plain, Login}
	}
}

// Choose returns the client of the best mechanism that the server offers, and
// its name. It returns nil and "" when none fits.
func Choose(offered []string, c Credentials, encrypted bool) (sasl.Client, string) {
	for _, name := range c.Preference(encrypted) {
		fits := func(o string) bool { return strings.EqualFold(o, name) }
		if slices.ContainsFunc(offered, fits) {
			return c.Client(name), name
		}
	}
	return nil, ""
}

// Client makes the client of one mechanism; nil for an unknown name. A Client
// serves one exchange.
func (c Credentials) Client(mechanism string) sasl.Client {
	switch strings.ToUpper(mechanism) {
	case Plain:
		return sasl.NewPlainClient("", c.Username, c.Password.Reveal())
	case Login:
		return sasl.NewLoginClient(c.Username, c.Password.Reveal())
	case CramMD5:
		return &cramMD5{c.Username, c.Password}
	case XOAuth2:
		return &xoauth2{c.Username, c.Token}
	case OAuthBearer:
		return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{
			Username: c.Username, Token: c.Token.Reveal(), Host: c.Host, Port: c.Port,
		})
	}
	return nil
}
