package oauth

import (
	"cmp"

	"golang.org/x/oauth2/endpoints"
)

// The providers that are known by name.
const (
	Google    = "google"
	Microsoft = "microsoft"
)

// microsoftApp is the scope an application asks for by itself; its permissions
// are those an administrator has granted
// (https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth).
const microsoftApp = "https://outlook.office365.com/.default"

// endpoint is where tokens come from.
func (c Config) endpoint() string {
	switch {
	case c.TokenURL != "":
		return c.TokenURL
	case c.Provider == Google:
		return endpoints.Google.TokenURL
	case c.Provider == Microsoft:
		return endpoints.AzureAD(cmp.Or(c.Tenant, "common")).TokenURL
	}
	return ""
}

// scopes are what is asked for. With a refresh token they are the operator's
// alone: none means what was consented to when it was made (RFC 6749 section 6).
func (c Config) scopes() []string {
	if len(c.Scopes) == 0 && c.Provider == Microsoft && c.kind() == byClient {
		return []string{microsoftApp}
	}
	return c.Scopes
}
