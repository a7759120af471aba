package config

import (
	"fmt"
	"strings"
)

// Warnings say what is allowed but probably not meant: a file with secrets in
// clear that every user can read, a variable that overrides nothing, one account
// under two names. It is complete once every Section has been decoded.
func (c *Config) Warnings() []string {
	warnings := append([]string(nil), c.notes...)
	warnings = append(warnings, c.env.openSecrets()...)
	return append(warnings, c.twins()...)
}

// twins finds mailboxes that are one account.
func (c *Config) twins() []string {
	var warnings []string
	first := map[string]*Mailbox{}
	for _, m := range c.Mailboxes {
		server, err := ParseServer(m.Server)
		if err != nil {
			continue
		}
		key := m.Username + "@" + strings.ToLower(server.Host) // as mail is known by, whatever the protocol
		if other := first[key]; other != nil && m.Username != "" {
			warnings = append(warnings, fmt.Sprintf("mailboxes.%s and mailboxes.%s are the same account (%s): a mail goes to the one that takes it first",
				other.Name, m.Name, m.Section.node.pos))
			continue
		}
		first[key] = m
	}
	return warnings
}
