package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

// everything does all that a session can, goes on after what may fail, and gives the
// errors.
func everything(ctx context.Context, s *Source) error {
	x, err := s.Open(ctx)
	if err != nil {
		return err
	}
	defer x.Close()
	l, err := x.List(ctx, "INBOX", "")
	all := []error{err}
	all = append(all, x.(fetcher.Header).Heads(ctx, l.Refs, func(fetcher.Ref, []byte) {}))
	all = append(all, x.Retrieve(ctx, l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}))
	var due []spool.Settlement
	for _, ref := range l.Refs {
		due = append(due, spool.Settlement{UID: ref.UID, Action: spool.Action{Verb: spool.Delete}})
	}
	return errors.Join(append(all, x.Settle(ctx, due))...)
}

// Whatever a server refuses, and at whatever time of a session, the password or the
// token that it repeats is shown neither in errors nor in a transcript; what else it
// says is.
func TestCredentialsThatAServerRepeatsAreMasked(t *testing.T) {
	const word = "overheard"
	repeated := word + " " + canary
	no, nothing := pop3d.Say("-ERR "+repeated+"\r\n"), pop3d.Say(repeated+"\r\n")
	code := pop3d.Say("-ERR [SYS/TEMP] " + repeated + "\r\n")
	for _, c := range []struct {
		fact   string
		mode   dial.Mode
		script pop3d.Script
	}{
		{"in the greeting", dial.Plain, pop3d.Script{"": no}},
		{"in a greeting in clear text", dial.StartTLS, pop3d.Script{"": no}},
		{"by refusing STLS", dial.StartTLS, pop3d.Script{"STLS": no}},
		{"by refusing the sign-in", dial.Plain, pop3d.Script{"PASS": no, "AUTH": no}},
		{"by refusing it for now", dial.Plain, pop3d.Script{"PASS": code, "AUTH": code}},
		{"by refusing to count", dial.Plain, pop3d.Script{"STAT": no}},
		{"by refusing to list", dial.Plain, pop3d.Script{"LIST": no}},
		{"by refusing unique-ids", dial.Plain, pop3d.Script{"UIDL": no}},
		{"by refusing header blocks for now", dial.Plain, pop3d.Script{"TOP": code}},
		{"by refusing a mail", dial.Plain, pop3d.Script{"RETR": no}},
		{"by refusing a mail for now", dial.Plain, pop3d.Script{"RETR": code}},
		{"by refusing to delete", dial.Plain, pop3d.Script{"DELE": no}},
		{"by refusing to delete for now", dial.Plain, pop3d.Script{"DELE": code}},
		{"by refusing to end", dial.Plain, pop3d.Script{"QUIT": no}},
		{"in what is no reply to CAPA", dial.Plain, pop3d.Script{"CAPA": nothing}},
		{"in what is no reply to RETR", dial.Plain, pop3d.Script{"RETR": nothing}},
		{"in what is no listing", dial.Plain, pop3d.Script{"LIST": pop3d.Say("+OK\r\n" + repeated + "\r\n.\r\n")}},
	} {
		for _, way := range []struct {
			name string
			edit func(*Options)
		}{
			{"a password", func(*Options) {}},
			{"a token", func(o *Options) { o.Password, o.Tokens = secret.Secret{}, always(canary) }},
		} {
			t.Run(c.fact+"/"+way.name, func(t *testing.T) {
				xoauth2 := initial("user=ada\x01auth=Bearer " + canary + "\x01\x01") // as Google writes it
				o := pop3d.Options{Script: c.script}
				if strings.HasSuffix(way.name, "token") {
					o.SASL = map[string]pop3d.Mechanism{"XOAUTH2": xoauth2}
				}
				source := client(t, pop3d.StartWith(t, o, two...), c.mode, way.edit)
				record := dial.NewRecord(source.o.Password)
				err := everything(dial.WithRecord(t.Context(), record), source)
				told, shown := fmt.Sprintf("%v\n%+v", err, err), fmt.Sprint(record.Steps())
				if hide := dial.NewHider(secret.New(canary)); hide.Holds(told) || hide.Holds(shown) {
					t.Errorf("it is shown in:\n%s\n%s", told, shown)
				}
				if !strings.Contains(told, word) || !strings.Contains(shown, dial.Hidden) {
					t.Errorf("the server's words are missing in:\n%s\n%s", told, shown)
				}
			})
		}
	}
}
