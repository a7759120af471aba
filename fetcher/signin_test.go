package fetcher_test

import (
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
)

func TestSignInHintKnowsWhatProvidersSay(t *testing.T) {
	for _, c := range []struct{ fact, host, said, says string }{
		{"Google, app password", "imap.gmail.com", "NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)", "myaccount.google.com/apppasswords"},
		{"Google, any other refusal", "imap.gmail.com", "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "myaccount.google.com/apppasswords"},
		{"Google under its own name for the company", "mail.example.com", "-ERR [AUTH] Application-specific password required", "myaccount.google.com/apppasswords"},
		{"Google, browser", "imap.gmail.com", "NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)", "web browser first"},
		{"Google, IMAP off", "imap.gmail.com", "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable your account for IMAP access. (Failure)", "switch it on"},
		{"Microsoft says why", "mail.example.com", "NO Basic authentication is disabled.", "oauth2"},
		{"Microsoft does not say why", "outlook.office365.com", "NO LOGIN failed.", "oauth2"},
		{"Microsoft, account blocked", "outlook.office365.com", "NO LOGIN failed. Account is blocked. Login to your account via a web browser to verify your identity.", "web browser first"},
		{"Yahoo", "imap.mail.yahoo.com", "NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials", "security settings"},
		{"Fastmail", "imap.fastmail.com", "NO Invalid credentials", "security settings"},
		{"GMX", "pop.gmx.net", "-ERR [AUTH] authentication failed", "switch it on"},
		{"locked", "mail.example.com", "-ERR Your ACCOUNT is temporarily locked", "account is locked"},
		{"too many tries", "mail.example.com", "NO Too many failed login attempts", "account is locked"},
		{"a plain refusal", "mail.example.com", "NO [AUTHENTICATIONFAILED] Authentication failed.", ""},
		{"a host that ends alike", "notgmail.com", "NO no", ""},
		{"the host in capitals", "IMAP.GMAIL.COM", "NO no", "apppasswords"},
	} {
		if got := fetcher.SignInHint(c.host, c.said); c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: hint %q, want %q in it", c.fact, got, c.says)
		}
	}
}
