package pop3

import (
	"errors"
	"log/slog"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/sasl"
)

// Config are the keys of a POP3 mailbox beside those every mailbox has: none yet.
type Config struct{}

// Check refuses what POP3 cannot do to a mail on the server: it has no flags and
// no other boxes.
func (Config) Check(m *config.Mailbox) error {
	var errs []error
	if v := m.After.Verb; v != "keep" && v != "delete" {
		errs = append(errs, m.Section.Errorf("after", "POP3 cannot do %s: a mail can only be kept or deleted; write keep, delete or delete:30d, or use IMAP", m.After))
	}
	if v := m.Failed.Verb; v != "keep" {
		errs = append(errs, m.Section.Errorf("failed", "POP3 cannot do %s: write keep, or use IMAP", m.Failed))
	}
	if m.Backfill.Mode == "since" {
		errs = append(errs, m.Section.Errorf("backfill", "POP3 does not tell when a mail was received: write none or all, or use IMAP"))
	}
	return errors.Join(errs...)
}

// Source makes the source of a mailbox. Its error names the key to change. tokens
// is nil for a mailbox that signs in otherwise.
func (Config) Source(m *config.Mailbox, tokens sasl.TokenSource, log *slog.Logger) (*Source, error) {
	server, err := dial.Parse(m.Server, m.Insecure)
	if err != nil {
		return nil, config.At("server", err)
	}
	if _, err := dial.TLS(m.TLS).Config(server.Host); err != nil {
		return nil, config.At("tls", err)
	}
	return New(Options{
		Server: server, TLS: dial.TLS(m.TLS), Username: m.Username, Password: m.Password, Tokens: tokens,
		Auth: m.Auth, Logger: log,
	})
}
