package fetcher

import "strings"

// Preset is what the mailboxes of one account may cost the server at host
// together where the operator has not said: what the provider allows, less what
// the account's other programs need.
func Preset(protocol, host string) Budget {
	host = strings.ToLower(host)
	for _, p := range presets {
		if host == p.domain || strings.HasSuffix(host, "."+p.domain) {
			if protocol == "pop3" {
				return p.pop3
			}
			return p.imap
		}
	}
	return usual
}

// usual is right for Dovecot as it comes: mail_max_userip_connections is 10.
var usual = Budget{Connections: 8}

var presets = []struct {
	domain     string
	imap, pop3 Budget
}{
	// 15 connections; 2,500 MB a day by IMAP and 1,250 MB by POP3, beyond which the
	// account is suspended (https://support.google.com/a/answer/1071518).
	{"gmail.com", Budget{10, 2_000_000_000}, Budget{2, 1_000_000_000}},
	{"googlemail.com", Budget{10, 2_000_000_000}, Budget{2, 1_000_000_000}},
	// Exchange Online closes what is beyond about 20 connections.
	{"outlook.com", Budget{10, 0}, Budget{8, 0}},
	{"office365.com", Budget{10, 0}, Budget{8, 0}},
	// Yahoo and AOL close what is beyond 5 connections from one address.
	{"mail.yahoo.com", Budget{4, 0}, Budget{2, 0}},
	{"aol.com", Budget{4, 0}, Budget{2, 0}},
}
