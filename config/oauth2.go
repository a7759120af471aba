package config

import "github.com/postferry/postferry/internal/secret"

// OAuth2 says how access tokens are come by (RFC 6749). What belongs together is
// checked when the mailbox is made, since it depends on secrets.
type OAuth2 struct {
	Provider     string        `config:"provider" enum:"google,microsoft" doc:"whose authorisation server it is; for all others token_url"`
	Tenant       string        `config:"tenant" doc:"Microsoft's: the directory's id or domain; common if not given"`
	ClientID     string        `config:"client_id" doc:"the id of the application that was registered with the provider"`
	ClientSecret secret.Secret `config:"client_secret" doc:"its secret, if it has one; without refresh_token the application signs in by itself (shared mailboxes)"`
	RefreshToken secret.Secret `config:"refresh_token" doc:"of the user who consented; newer ones that the server sends are kept beside the store"`
	TokenURL     string        `config:"token_url" doc:"the token endpoint of another authorisation server, https://"`
	Scopes       []string      `config:"scopes" doc:"what is asked for; without them the provider's, or what was consented to"`
	Command      []string      `config:"command,raw" doc:"in place of all this: a program and its arguments, run without a shell, that prints an access token, or JSON with access_token and expires_in"`
}
