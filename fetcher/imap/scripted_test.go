package imap_test

import (
	"testing"

	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/fetcher/sourcetest"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

// The suite that holds against Dovecot holds against the scriptable server too,
// whatever it lacks.
func TestSourceOnTheScriptedServer(t *testing.T) {
	for _, way := range []struct{ name, caps string }{
		{"with all it has", imapd.AllCaps},
		{"as Gmail has it", imapd.AllCaps + " X-GM-EXT-1 NAMESPACE SPECIAL-USE"},
		{"without ESEARCH and MOVE", "IMAP4rev1 AUTH=PLAIN UIDPLUS"},
	} {
		t.Run(way.name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture {
				s := imapd.Start(t, imapd.Options{Caps: way.caps})
				no := imapd.Start(t, imapd.Options{Caps: way.caps, Script: imapd.Script{"AUTHENTICATE": imapd.Say("$ NO [AUTHENTICATIONFAILED] no\r\n")}})
				source := func(s *imapd.Server) *imap.Source {
					return newSource(t, imap.Options{
						Server:   dial.Server{Scheme: "imap", Host: s.Host, Port: s.Port, Mode: dial.Plain},
						Username: ada, Password: secret.New(password),
					})
				}
				return sourcetest.Fixture{
					Source: source(s), Refused: source(no), Box: "INBOX",
					Add:    func(_ testing.TB, raw []byte) { s.Deliver("INBOX", raw) },
					Stored: func(testing.TB) int { return len(s.Box("INBOX")) },
					Verbs:  []spool.Verb{spool.Seen, spool.Delete},
				}
			})
		})
	}
}
