package submit

import (
	"slices"
	"strconv"
	"strings"
)

// Code is a row of the table of what servers say: where the answer comes, how it
// begins, and what it means. A row that says more goes first.
type Code struct {
	Steps  []Step // at which; nil is any
	Codes  string // "535", "4xx"; several are parted by spaces
	Status string // the enhanced code, "5.7.1" or "x.3.4"; several are parted by spaces; "" is any
	Words  string // what is in the text, in lower case; several are parted by |; "" is anything
	Blame  Blame
	Means  string
	Do     string
}

// fits tells whether the row is about the reply. text is its text in lower case.
func (c *Code) fits(s Step, r Reply, text string) bool {
	if c.Steps != nil && !slices.Contains(c.Steps, s) ||
		!slices.ContainsFunc(strings.Split(c.Words, "|"), func(w string) bool { return strings.Contains(text, w) }) {
		return false
	}
	return slices.ContainsFunc(strings.Fields(c.Codes), func(p string) bool { return matches(p, strconv.Itoa(r.Code)) }) &&
		(c.Status == "" || slices.ContainsFunc(strings.Fields(c.Status), func(p string) bool { return matches(p, r.Enhanced.String()) }))
}

// matches compares a code with a pattern in which x is one figure.
func matches(pattern, code string) bool {
	if len(pattern) != len(code) {
		return false
	}
	for i := range len(code) {
		if pattern[i] != code[i] && (pattern[i] != 'x' || !isDigit(code[i])) {
			return false
		}
	}
	return true
}

// Codes is the table, in the order in which it is searched.
func Codes() []Code { return slices.Clone(codes) }

var (
	opening = []Step{Greeting, Hello, Reset}
	mail    = []Step{From, To, Data, End}
)

var codes = []Code{
	// Whatever the step.
	{nil, "421", "", "", Passing, "the server is closing the connection: it is busy, restarting, or has had enough of them", "nothing; if it lasts, lower concurrency or set rate"},

	// Before the sign-in.
	{opening, "4xx", "", "", Passing, "the server takes no connection now: too many at once, or a rate limit", "nothing; if it lasts, lower concurrency or set rate"},
	{[]Step{Greeting}, "5xx", "", "", Account, "the server takes no mail from this machine's address", "check server; ask its operator whether this address is on a blocklist, or use a submission server (port 587 or 465) and sign in"},
	{[]Step{Hello}, "5xx", "", "", Account, "the server does not accept the name this machine gives in EHLO", "set hello to the full name of this machine, as its address resolves"},
	{[]Step{StartTLS}, "4xx", "", "", Passing, "the server cannot do TLS at the moment", "nothing; if it lasts, ask its operator. Nothing is sent in clear text meanwhile"},
	{[]Step{StartTLS}, "5xx", "", "", Account, "the server refuses STARTTLS", "use smtps:// (port 465) if the server offers it"},

	// The sign-in.
	{[]Step{SignIn}, "432", "", "", Account, "the account has to be signed in to in another way first (password transition)", "sign in on the provider's page once, or set auth to plain"},
	{[]Step{SignIn}, "454 4xx", "", "", Passing, "the server cannot check the sign-in at the moment", "nothing; if it lasts, ask its operator"},
	{[]Step{SignIn}, "538", "", "", Account, "the server signs in over TLS alone", "remove insecure, or use smtps://"},
	{[]Step{SignIn}, "534", "", "", Account, "the server wants another way to sign in for this account", "use an app password or oauth2, as the provider's help says; or set auth"},
	{[]Step{SignIn}, "535", "5.7.139", "", Account, "signing in by SMTP is switched off for this account", "have SMTP AUTH switched on for the mailbox by the administrator, or use oauth2"},
	{[]Step{SignIn}, "535", "", "", Account, "user name or password was refused", "check username and password; many providers want an app password, or oauth2"},
	{[]Step{SignIn}, "5xx", "", "", Account, "the sign-in was refused", "check username, password and auth, and that the account may send by SMTP"},

	// What concerns the account, whenever it is said.
	{mail, "530", "", "", Account, "the server wants a sign-in before it takes mail", "set username and password; on port 25 of a relay, have this machine's address allowed"},
	{[]Step{To}, "5xx", "", "relay access denied|relaying denied|relay not permitted|unable to relay|relaying not permitted|not permitted to relay", Account, "the server does not pass mail on to other domains for us", "set username and password, or have this machine's address allowed to relay; check that server is your own provider's"},
	{[]Step{To}, "5xx", "", "client host", Account, "the server takes no mail from this machine's address, or not without a sign-in", "set username and password; for a blocklist, ask for removal"},
	{mail, "5xx", "5.4.5 5.7.64", "", Account, "the account's sending limit is reached, or it may not send", "wait, set rate, or have the limit raised by the provider"},
	{mail, "5xx", "5.7.60", "", Account, "the account may not send as the address in from", "set from to the account's own address, or have it allowed to send as the other one"},
	{mail, "5xx", "5.1.8 5.7.6 5.7.708 5.7.750", "", Account, "the provider has blocked this account or address from sending", "see the provider's page on it; a password may have been stolen: change it, and look at what was sent"},

	// MAIL.
	{[]Step{From}, "552 554 550", "5.3.4 5.2.3", "", Recipient, "the mail is larger than the server takes", "have the limit raised, or leave attachments out"},
	{[]Step{From}, "552", "", "", Recipient, "the mail is larger than the server takes", "have the limit raised, or leave attachments out"},
	{[]Step{From}, "5xx", "5.6.7", "", Recipient, "the server takes no addresses that are not ASCII", "use another server for such mail"},
	{[]Step{From}, "452", "4.3.1", "", Passing, "the server has no room", "nothing; if it lasts, tell its operator"},
	{[]Step{From}, "4xx", "", "", Passing, "the server takes no mail from the sender's address now", "nothing; if it lasts, check that the domain of from can be resolved, and lower rate"},
	{[]Step{From}, "5xx", "", "", Account, "the server does not take the sender's address", "set from to an address the account may send as"},

	// Recipients.
	{[]Step{To}, "450 451", "4.7.1 4.2.0", "", Passing, "greylisting, or a limit: the server takes the mail at a later try", "nothing"},
	{[]Step{To}, "450", "", "", Passing, "the recipient's mailbox is busy, or the sender is greylisted", "nothing"},
	{[]Step{To}, "452", "4.5.3", "", Passing, "too many recipients in one mail", "nothing; the rest is sent by itself"},
	{[]Step{To}, "452", "", "", Passing, "the recipient's mailbox or the server is full", "nothing; if it lasts, tell the recipient"},
	{[]Step{To}, "4xx", "", "", Passing, "the recipient's address is not accepted now", "nothing"},
	{[]Step{To}, "5xx", "5.1.1 5.1.6 5.1.10", "", Recipient, "there is no such address", "correct the address in to, or in the mail"},
	{[]Step{To}, "5xx", "5.1.2 5.4.1 5.4.4", "", Recipient, "the domain of the address takes no mail", "correct the domain of the address"},
	{[]Step{To}, "5xx", "5.2.1", "", Recipient, "the recipient's mailbox is switched off", "remove the address"},
	{[]Step{To}, "5xx", "5.2.2", "", Recipient, "the recipient's mailbox is full", "tell the recipient in another way, then dead retry"},
	{[]Step{To}, "5xx", "5.7.1 5.7.0 5.7.25 5.7.26 5.7.27 5.7.28", "", Recipient, "the recipient's server does not take this mail, by a rule of its own", "read its words; for a blocklist ask for removal, for SPF, DKIM or DMARC have the domain of from set up"},
	{[]Step{To}, "501 553", "", "", Recipient, "the address is not one the server can read", "correct the address in to, or in the mail"},
	{[]Step{To}, "5xx", "", "", Recipient, "the recipient's address was refused", "correct the address; the server's words say more"},

	// The mail itself.
	{[]Step{Data, End}, "452 4xx", "4.3.1", "", Passing, "the server has no room", "nothing; if it lasts, tell its operator"},
	{[]Step{Data, End}, "4xx", "4.7.0 4.7.1 4.7.28", "", Passing, "the server is suspicious of this mail or of how many there are, and waits", "nothing; if it lasts, set rate, and have SPF, DKIM and DMARC of the domain of from set up"},
	{[]Step{Data, End}, "4xx", "", "", Passing, "the server cannot take the mail now", "nothing"},
	{[]Step{Data, End}, "552", "5.2.2", "", Recipient, "the recipient's mailbox is full", "tell the recipient in another way, then dead retry"},
	{[]Step{Data, End}, "552 5xx", "5.3.4 5.2.3", "", Recipient, "the mail is larger than the server takes", "have the limit raised, or leave attachments out"},
	{[]Step{Data, End}, "552", "", "", Recipient, "the mail is larger than the server takes", "have the limit raised, or leave attachments out"},
	{[]Step{Data, End}, "5xx", "5.7.1 5.7.0 5.7.7 5.7.26 5.7.27 5.7.28", "", Recipient, "the mail was taken for spam, or breaks a rule of the server's", "read its words; have SPF, DKIM and DMARC of the domain of from set up, then dead retry"},
	{[]Step{Data, End}, "5xx", "5.6.0 5.6.1 5.6.2 5.6.3 5.6.5 5.6.7", "", Recipient, "the server does not take what is in the mail", "read its words; forward it as an attachment, or leave attachments out"},
	{[]Step{Data, End}, "550 554", "", "spam", Recipient, "the mail was taken for spam", "have SPF, DKIM and DMARC of the domain of from set up, then dead retry"},
	{[]Step{Data, End}, "503 554", "5.5.1", "", Recipient, "the server has no recipient it accepts", "correct the addresses"},
	{[]Step{Data, End}, "5xx", "", "", Recipient, "the mail was refused", "read the server's words"},
}

// signInHint says what to change when the server at host refuses a sign-in with
// these words; "" where the table says all that is known.
func signInHint(host, said string, token bool) string {
	host, said = strings.ToLower(host), strings.ToLower(said)
	of := func(domains ...string) bool {
		return slices.ContainsFunc(domains, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) })
	}
	switch {
	case of("gmail.com", "googlemail.com") && token:
		return "check username, and that the token has the scope https://mail.google.com/"
	case of("gmail.com", "googlemail.com"), strings.Contains(said, "application-specific password"):
		return "Google takes an app password here, not the account's own: make one at https://myaccount.google.com/apppasswords (2-Step Verification has to be on)"
	case strings.Contains(said, "smtpclientauthentication is disabled"):
		return "have SMTP AUTH switched on for the mailbox by the administrator of the tenant (https://aka.ms/smtp_auth_disabled)"
	case of("outlook.com", "office365.com") && token:
		return "check username, and that the token is for Exchange Online with the permission SMTP.Send (or SMTP.SendAsApp)"
	case of("outlook.com", "office365.com"):
		return "Microsoft takes fewer and fewer passwords over SMTP: use oauth2"
	case of("mail.yahoo.com", "aol.com", "mail.me.com", "fastmail.com") && !token:
		return "this provider takes an app password here, not the account's own: make one in the security settings of the account"
	case token:
		return "check username, and that the token is for this server and its scopes are for sending mail"
	}
	return ""
}
