package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

// always is a source of one token.
type always string

func (a always) Token(context.Context) (secret.Secret, error) { return secret.New(string(a)), nil }

func (a always) Renew(context.Context, secret.Secret) (secret.Secret, error) {
	return secret.Secret{}, errors.New("there is no other")
}

// everything does all that a session can, goes on after what may fail, and gives the
// errors.
func everything(ctx context.Context, s *Source) error {
	x, err := s.Open(ctx)
	if err != nil {
		return err
	}
	defer x.Close()
	var all []error
	l, err := x.List(ctx, "INBOX", "")
	all = append(all, err, x.(fetcher.Identifier).Identify(ctx, l.Refs), x.(fetcher.Describer).Describe(ctx, l.Refs),
		x.(fetcher.Header).Heads(ctx, l.Refs, func(fetcher.Ref, []byte) {}))
	all = append(all, x.Retrieve(ctx, l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}))
	if len(l.Refs) > 0 {
		all = append(all, x.Settle(ctx, []spool.Settlement{settlement(l.Refs[0].UID, spool.Action{Verb: spool.Move, Arg: "Done"})}))
	}
	all = append(all, x.(fetcher.Watcher).Wait(ctx, "INBOX"))
	return errors.Join(all...)
}

// Whatever a server refuses, and at whatever time of a session, the password or the
// token that it repeats is shown neither in errors nor in logs nor in a transcript;
// what else it says is.
func TestCredentialsThatAServerRepeatsAreMasked(t *testing.T) {
	const word = "overheard"
	repeated := word + " " + canary
	no := imapd.Say("$ NO " + repeated + "\r\n")
	for _, c := range []struct {
		fact   string
		mode   dial.Mode
		script imapd.Script
	}{
		{"in the greeting", dial.Plain, imapd.Script{"": imapd.Cut("* BYE " + repeated + "\r\n")}},
		{"in a greeting in clear text", dial.StartTLS, imapd.Script{"": imapd.Cut("* BYE " + repeated + "\r\n")}},
		{"in a greeting that is none", dial.StartTLS, imapd.Script{"": imapd.Say(repeated + "\r\n")}},
		{"by refusing STARTTLS", dial.StartTLS, imapd.Script{"STARTTLS": no}},
		{"by refusing the sign-in", dial.Plain, imapd.Script{"AUTHENTICATE": no}},
		{"in an alert", dial.Plain, imapd.Script{"ID": imapd.Before("* OK [ALERT] " + repeated + "\r\n")}},
		{"in an alert within the sign-in", dial.Plain, imapd.Script{"AUTHENTICATE": imapd.Say("* OK [ALERT] " + repeated + "\r\n$ OK welcome\r\n")}},
		{"by refusing the box", dial.Plain, imapd.Script{"SELECT": no}},
		{"by refusing the listing", dial.Plain, imapd.Script{"UID SEARCH": no}},
		{"by refusing all about mails", dial.Plain, imapd.Script{"UID FETCH": no}},
		{"by refusing mails", dial.Plain, imapd.Script{"UID FETCH BODY": no}},
		{"by refusing them for good", dial.Plain, imapd.Script{"UID FETCH BODY": imapd.Say("$ NO [LIMIT] " + repeated + "\r\n")}},
		{"by refusing names of mails", dial.Plain, imapd.Script{"UID FETCH 1:2 (UID X-GM-MSGID)": no}},
		{"by refusing to move", dial.Plain, imapd.Script{"UID MOVE": no}},
		{"by refusing IDLE", dial.Plain, imapd.Script{"IDLE": no}},
		{"in a BYE", dial.Plain, imapd.Script{"UID FETCH BODY": imapd.Cut("* BYE " + repeated + "\r\n")}},
		{"in what is no response", dial.Plain, imapd.Script{"UID SEARCH": imapd.Say(repeated + "\r\n")}},
	} {
		for _, way := range []struct {
			name string
			edit func(*Options)
		}{
			{"a password", func(*Options) {}},
			{"a token", func(o *Options) { o.Password, o.Tokens = secret.Secret{}, always(canary) }},
		} {
			t.Run(c.fact+"/"+way.name, func(t *testing.T) {
				s := imapd.Start(t, imapd.Options{Caps: imapd.AllCaps + " AUTH=XOAUTH2 X-GM-EXT-1", Boxes: []string{"Done"}, Script: c.script}, two...)
				var log bytes.Buffer
				source := client(t, s, c.mode, func(o *Options) {
					o.Logger = slog.New(slog.NewTextHandler(&log, nil))
					o.IdleRenew = time.Millisecond
					way.edit(o)
				})
				record := dial.NewRecord(source.o.Password)
				err := everything(dial.WithRecord(t.Context(), record), source)
				told := fmt.Sprintf("%v\n%+v\n%s", err, err, log.String())
				shown := fmt.Sprint(record.Steps())
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
