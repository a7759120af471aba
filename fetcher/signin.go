package fetcher

import "strings"

const (
	googleHint    = "Google takes an app password here, not the account's own: make one at https://myaccount.google.com/apppasswords (2-Step Verification has to be on)"
	microsoftHint = "Microsoft takes no passwords over IMAP and POP3 any more, app passwords neither: use oauth2"
	ownHint       = "this provider takes an app password here, not the account's own: make one in the security settings of the account"
	browserHint   = "the provider wants somebody to sign in with a web browser first, and to confirm that this was wanted"
	switchHint    = "the account does not allow this protocol; switch it on in the account's settings"
	lockedHint    = "the account is locked: free it on the provider's page, and stop whatever signs in with an old password"
)

// refusals are what providers say when a right password does not help, in lower
// case; all words of an entry have to occur. The first that fits counts.
var refusals = []struct {
	words []string
	hint  string
}{
	{[]string{"application-specific password"}, googleHint},
	{[]string{"basic authentication is disabled"}, microsoftHint},
	{[]string{"basicauthblocked"}, microsoftHint},
	{[]string{"web browser"}, browserHint},
	{[]string{"web login required"}, browserHint},
	{[]string{"not enabled for", "use"}, switchHint},
	{[]string{"account", "locked"}, lockedHint},
	{[]string{"account", "blocked"}, lockedHint},
	{[]string{"account", "suspended"}, lockedHint},
	{[]string{"account", "disabled"}, lockedHint},
	{[]string{"too many", "attempts"}, lockedHint},
	{[]string{"too many", "failures"}, lockedHint},
	{[]string{"app password"}, ownHint},
}

// providers are hosts that refuse the account's own password without saying why.
var providers = []struct{ domain, hint string }{
	{"gmail.com", googleHint},
	{"googlemail.com", googleHint},
	{"outlook.com", microsoftHint},
	{"office365.com", microsoftHint},
	{"mail.yahoo.com", ownHint},
	{"aol.com", ownHint},
	{"mail.me.com", ownHint},
	{"fastmail.com", ownHint},
	{"gmx.net", switchHint},
	{"gmx.com", switchHint},
	{"web.de", switchHint},
	{"zoho.com", switchHint},
	{"zoho.eu", switchHint},
}

// TokenHint says what to change when the server at host refuses an access token.
func TokenHint(host, said string) string {
	said, host = strings.ToLower(said), strings.ToLower(host)
	for _, r := range refusals {
		if holdsAll(said, r.words) && r.hint != microsoftHint {
			return r.hint
		}
	}
	for _, p := range providers {
		switch {
		case host != p.domain && !strings.HasSuffix(host, "."+p.domain):
		case p.hint == googleHint:
			return "check username, and that the token has the scope https://mail.google.com/ (Google takes no other)"
		case p.hint == microsoftHint:
			return "check username (of a shared mailbox, its own address), that the token is for Exchange Online with the permission for this protocol, and that the mailbox allows it"
		}
	}
	return "check username, and that the token is for this server and its scopes are for reading mail"
}

// SignInHint says what to change when the server at host refuses a sign-in with
// these words; "" where nothing more is known than that it did.
func SignInHint(host, said string) string {
	said = strings.ToLower(said)
	for _, r := range refusals {
		if holdsAll(said, r.words) {
			return r.hint
		}
	}
	host = strings.ToLower(host)
	for _, p := range providers {
		if host == p.domain || strings.HasSuffix(host, "."+p.domain) {
			return p.hint
		}
	}
	return ""
}

func holdsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
