package main_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
)

// Whatever a server does with a password it was given (takes it, refuses it, repeats it
// as it came or in base64), nothing that postferry prints at its most talkative, or
// keeps, holds it in any form.
func TestNothingThatARunPrintsOrKeepsHoldsThePassword(t *testing.T) {
	const user = "canary-bird@example.com"
	binary := mailtest.BuildBinary(t)
	mail := []byte("Subject: one\r\n\r\nbody\r\n")
	for i, password := range canaries {
		sent := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
		repeated := "you sent " + password + " which is " + sent
		for _, c := range []struct {
			fact, protocol string
			imap           imapd.Script
			pop3           pop3d.Script
			code           int
		}{
			{"IMAP, and it is taken", "imap", nil, nil, 0},
			{"IMAP, and it is refused and repeated", "imap", imapd.Script{"AUTHENTICATE": imapd.Say("$ NO [AUTHENTICATIONFAILED] " + repeated + "\r\n")}, nil, 77},
			{"IMAP, and it is repeated by a BYE", "imap", imapd.Script{"AUTHENTICATE": imapd.Cut("* BYE " + repeated + "\r\n")}, nil, 75},
			{"POP3, and it is taken", "pop3", nil, nil, 0},
			{"POP3, and it is refused and repeated", "pop3", nil, pop3d.Script{"PASS": pop3d.Say("-ERR [AUTH] " + repeated + "\r\n")}, 77},
			{"POP3, and it comes too soon and is repeated", "pop3", nil, pop3d.Script{"PASS": pop3d.Say("-ERR [LOGIN-DELAY] " + repeated + "\r\n")}, 75},
			{"POP3, and it is repeated by what is no reply", "pop3", nil, pop3d.Script{"PASS": pop3d.Say(repeated + "\r\n")}, 76},
		} {
			t.Run(fmt.Sprintf("%s/password %d", c.fact, i), func(t *testing.T) {
				t.Parallel()
				w := &world{t: t, binary: binary, dir: t.TempDir()}
				w.config = filepath.Join(w.dir, "postferry.yaml")
				var server string
				if c.protocol == "imap" {
					s := imapd.Start(t, imapd.Options{Script: c.imap}, mail)
					server = fmt.Sprintf("imap://%s:%s", s.Host, s.Port)
				} else {
					s := pop3d.StartWith(t, pop3d.Options{Script: c.pop3}, mail)
					server = fmt.Sprintf("pop3://%s:%s", s.Host, s.Port)
				}
				w.one(server, user, password, "insecure: true, backfill: all, after: keep")
				printed := ""
				for _, args := range [][]string{{"run", "--once", "--log-level", "debug"}, {"status"}, {"status", "-o", "json"}, {"list", "-o", "json"}, {"check", "--transcript"}, {"config", "show"}} {
					code, stdout, stderr := w.run(args...)
					if args[0] == "run" && code != c.code {
						t.Errorf("exit code %d, want %d: %s", code, c.code, stderr)
					}
					printed += stdout + stderr
				}
				clean(t, printed, user, password)
				files := 0
				err := filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
					if err != nil || !e.Type().IsRegular() || path == w.config {
						return err
					}
					octets, err := os.ReadFile(path)
					clean(t, string(octets), user, password)
					files++
					return err
				})
				if err != nil || files == 0 {
					t.Errorf("%d files are kept, error %v", files, err)
				}
			})
		}
	}
}
