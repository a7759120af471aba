package imap

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
)

// Config are the keys of an IMAP mailbox beside those every mailbox has.
type Config struct {
	Folders []string     `config:"folders" doc:"the boxes mail is taken from: names on the server, patterns (Lists/*, where * is anything and % anything within one level), or uses the server marks (\\Junk \\Archive \\All \\Sent \\Trash \\Drafts \\Flagged); ! before an entry takes boxes out. Patterns leave boxes with a use out, but for \\Archive"`
	Search  SearchConfig `config:"search" doc:"what is taken; mail that does not match is left for good"`
	Idle    bool         `config:"idle" doc:"true: mail is also looked for the moment it arrives in the first folder"`
}

// SearchConfig is the block under search.
type SearchConfig struct {
	Since  time.Duration `config:"since" doc:"only mail received within this time, as in 7d"`
	Unseen bool          `config:"unseen" doc:"true: only mail that nobody has read"`
}

// SetDefaults sets what holds when the file says nothing.
func (c *Config) SetDefaults() { c.Folders, c.Idle = []string{"INBOX"}, true }

// Validate checks what the single values cannot tell.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Folders) == 0 {
		errs = append(errs, config.At("folders", errors.New("the list is empty; leave the key out for INBOX")))
	}
	if len(c.Folders) > 0 && !slices.ContainsFunc(c.Folders, func(n string) bool { return !strings.HasPrefix(n, "!") }) {
		errs = append(errs, config.At("folders", errors.New("every entry takes folders out; say first what to take from, as in INBOX or *")))
	}
	for i, name := range c.Folders {
		if err := checkName(name); err != nil {
			errs = append(errs, config.At("folders", fmt.Errorf("entry %d %w", i+1, err)))
		}
		for _, other := range c.Folders[:i] {
			if sameBox(name, other) {
				errs = append(errs, config.At("folders", fmt.Errorf("%q is there twice", name)))
			}
		}
	}
	if c.Search.Since < 0 {
		errs = append(errs, config.At("search", errors.New("since must not be negative")))
	}
	return errors.Join(errs...)
}

// Check checks what the keys that every mailbox has mean here.
func (c Config) Check(m *config.Mailbox) error {
	var errs []error
	for _, a := range []struct {
		key    string
		action config.Action
	}{{"after", m.After.Action()}, {"failed", m.Failed}} {
		if a.action.Verb == "move" && special(a.action.Arg) {
			errs = append(errs, m.Section.Error(a.key, checkName(a.action.Arg)))
		}
	}
	return errors.Join(errs...)
}

// Source makes the source of a mailbox. With readOnly nothing on the server
// changes by listing and retrieving, not even \Recent. Its error names the key to
// change. tokens is nil for a mailbox that signs in otherwise.
func (c Config) Source(m *config.Mailbox, tokens sasl.TokenSource, readOnly bool, log *slog.Logger) (*Source, error) {
	server, err := dial.Parse(m.Server, m.Insecure)
	if err != nil {
		return nil, config.At("server", err)
	}
	if _, err := dial.TLS(m.TLS).Config(server.Host); err != nil {
		return nil, config.At("tls", err)
	}
	return New(Options{
		Server: server, TLS: dial.TLS(m.TLS), Username: m.Username, Password: m.Password, Tokens: tokens, Auth: m.Auth,
		Search: Search{Since: c.Search.Since, Unseen: c.Search.Unseen}, ReadOnly: readOnly, Logger: log,
	})
}
