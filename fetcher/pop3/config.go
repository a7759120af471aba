package pop3

import (
	"log/slog"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/dial"
)

// Config are the keys of a POP3 mailbox beside those every mailbox has: none yet.
type Config struct{}

// Source makes the source of a mailbox. Its error names the key to change.
func (Config) Source(m *config.Mailbox, log *slog.Logger) (*Source, error) {
	server, err := dial.Parse(m.Server, m.Insecure)
	if err != nil {
		return nil, config.At("server", err)
	}
	s, err := New(Options{
		Server: server, TLS: dial.TLS(m.TLS), Username: m.Username, Password: m.Password, Logger: log,
	})
	return s, config.At("tls", err)
}
