package oauth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
)

// Config is how tokens are come by: a command, a refresh token, or the client's
// own credentials, of which the first that is set counts.
type Config struct {
	Provider     string        // Google or Microsoft, whose endpoints are known; else TokenURL is needed
	Tenant       string        // Microsoft's; "common" if empty
	ClientID     string        // of the registered application
	ClientSecret secret.Secret // of a confidential one
	RefreshToken secret.Secret // of a user who has consented
	TokenURL     string        // the token endpoint (RFC 6749 section 3.2); https, or http on loopback
	Scopes       []string      // asked for; empty: the provider's, or what was consented to
	Command      []string      // prints an access token
}

// The ways to a token.
type kind int

const (
	byCommand kind = iota
	byRefresh
	byClient
)

func (c Config) kind() kind {
	switch {
	case len(c.Command) > 0:
		return byCommand
	case !c.RefreshToken.IsZero():
		return byRefresh
	}
	return byClient
}

// check says what is missing. The secrets have been read by now.
func (c Config) check() error {
	if c.kind() == byCommand {
		return nil
	}
	switch {
	case c.endpoint() == "":
		return errors.New("provider or token_url is missing")
	case c.ClientID == "":
		return errors.New("client_id is missing: the id of the application that was registered with the provider")
	case c.kind() == byRefresh:
	case c.Provider == Google:
		return errors.New("refresh_token is missing; Google gives applications no tokens for mail by client_secret alone (for a service account use command)")
	case c.ClientSecret.IsZero():
		return errors.New("refresh_token is missing; an application that signs in by itself (shared mailboxes) has client_secret instead")
	case c.Provider == Microsoft && c.TokenURL == "" && (c.Tenant == "" || c.Tenant == "common" || c.Tenant == "consumers" || c.Tenant == "organizations"):
		return errors.New("tenant is missing: an application that signs in by itself belongs to one; write its id or domain")
	}
	u, err := url.Parse(c.endpoint())
	if err != nil || u.Host == "" {
		return errors.New("token_url is not a URL")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && dial.IsLoopback(u.Hostname())) {
		return errors.New("token_url must be https://, since secrets go there; http:// is for loopback addresses alone")
	}
	return nil
}

// host is the authorisation server's, for people.
func (c Config) host() string {
	u, err := url.Parse(c.endpoint())
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// identity is the same for configurations that get the same token. Secrets go
// into it as they are, so it is hashed and not kept otherwise.
func (c Config) identity() [sha256.Size]byte {
	all, _ := json.Marshal([]any{
		c.endpoint(), c.ClientID, c.ClientSecret.Reveal(), c.RefreshToken.Reveal(), c.scopes(), c.Command,
	}) // no error: strings alone
	return sha256.Sum256(all)
}

// grant names the consent a refresh token stands for. It changes when the
// operator configures another token, so that what was kept of the old one is
// not taken for it.
func (c Config) grant() string {
	all, _ := json.Marshal([]string{c.endpoint(), c.ClientID, c.RefreshToken.Reveal()}) // no error: strings alone
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}
