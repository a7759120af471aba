package pop3_test

import (
	"testing"

	"github.com/postferry/postferry/fetcher/pop3"
	"github.com/postferry/postferry/fetcher/sourcetest"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

// TestSourceWithOddServers runs the suite that Dovecot passes with servers of our own.
func TestSourceWithOddServers(t *testing.T) {
	for _, c := range []struct {
		fact   string
		server pop3d.Options
	}{
		{"an ordinary one", pop3d.Options{}},
		{"without PIPELINING", pop3d.Options{Capa: []string{"UIDL", "TOP"}}},
		{"without CAPA", pop3d.Options{Capa: []string{}}},
		{"without UIDL", pop3d.Options{NoUIDL: true}},
		{"with one unique-id for all", pop3d.Options{UID: func(int, []byte) string { return "same" }}},
		{"that hides what was retrieved and deletes on hang-up", pop3d.Options{Hide: true, CommitOnHangUp: true}},
	} {
		t.Run(c.fact, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture {
				c.server.Password = password
				s := pop3d.StartWith(t, c.server)
				o := pop3.Options{
					Server: dial.Server{Scheme: "pop3", Host: s.Host, Port: s.Port, Mode: dial.Plain}, Username: ada, Password: secret.New(password),
				}
				wrong := o
				wrong.Password = secret.New("wrong")
				return sourcetest.Fixture{
					Source: newSource(t, o), Refused: newSource(t, wrong), Box: "INBOX",
					Add:    func(_ testing.TB, raw []byte) { s.Add(raw) },
					Stored: func(testing.TB) int { return s.Stored() },
					Verbs:  []spool.Verb{spool.Delete},
				}
			})
		})
	}
}
