// Package sasl picks and makes the client side of a SASL exchange (RFC 4422)
// for IMAP, POP3 and SMTP. Choose takes what the server offers and what the
// operator configured and returns one mechanism, best first:
//
//   - with a token: OAUTHBEARER (RFC 7628), then XOAUTH2 (Google, Microsoft);
//   - with a password on an encrypted connection: PLAIN (RFC 4616), LOGIN,
//     CRAM-MD5 (RFC 2195). TLS protects all three alike, and servers that keep
//     passwords as hashes cannot serve the last;
//   - with a password in clear text: CRAM-MD5 first, since it does not show the
//     password to who listens;
//   - with a client certificate alone: EXTERNAL (RFC 4422 appendix A).
//
// Credentials.Only narrows that to one mechanism. Whether anything may be sent in
// clear text at all is decided before, by the connection (`insecure`).
//
// The exchanges are those of emersion/go-sasl, with what it lacks (XOAUTH2,
// CRAM-MD5) and what it is too strict in (LOGIN, OAUTHBEARER) beside them. The
// protocol package carries the challenges.
package sasl

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/postferry/postferry/internal/secret"
)

// The mechanisms this package speaks.
const (
	Plain       = sasl.Plain
	Login       = sasl.Login
	External    = sasl.External
	OAuthBearer = sasl.OAuthBearer
	CramMD5     = "CRAM-MD5"
	XOAuth2     = "XOAUTH2"
)

// Credentials are what one account signs in with: an OAuth 2.0 access token, a
// password, or the certificate TLS has shown, of which the first that is set
// counts.
type Credentials struct {
	Username    string // for EXTERNAL the identity to act as; may be empty there
	Password    secret.Secret
	Token       secret.Secret
	Certificate bool   // TLS shows a client certificate
	Only        string // the one mechanism the operator wants, in any letter case; "" is the best there is
	Host        string // of the server, for OAUTHBEARER's "host" field
	Port        int    // and "port"; 0 leaves it out
}

// TokenSource gives OAuth 2.0 access tokens. It is safe for concurrent use, and
// its errors hold no secret.
type TokenSource interface {
	// Token gives a token that is good for a while.
	Token(ctx context.Context) (secret.Secret, error)
	// Renew gives a token in place of one that a server has refused. It fails when
	// there is none to be had that is any newer.
	Renew(ctx context.Context, refused secret.Secret) (secret.Secret, error)
}

// Preference lists the mechanisms that fit the credentials, best first.
func (c Credentials) Preference(encrypted bool) []string {
	all := c.fitting(encrypted)
	if c.Only == "" {
		return all
	}
	if strings.EqualFold(c.Only, External) && c.Certificate && encrypted {
		return []string{External} // a password beside the certificate is for others
	}
	return slices.DeleteFunc(all, func(m string) bool { return !strings.EqualFold(m, c.Only) })
}

func (c Credentials) fitting(encrypted bool) []string {
	switch {
	case !c.Token.IsZero():
		return []string{OAuthBearer, XOAuth2}
	case c.Password.IsZero() && c.Certificate && encrypted:
		return []string{External}
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
		return &login{username: c.Username, password: c.Password}
	case CramMD5:
		return &cramMD5{c.Username, c.Password}
	case External:
		return sasl.NewExternalClient(c.Username)
	case XOAuth2:
		return &xoauth2{c.Username, c.Token}
	case OAuthBearer:
		return &oauthBearer{c}
	}
	return nil
}
