package imap

import (
	"context"
	"io"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

const canary = "hunter2-canary"

var two = [][]byte{[]byte("Subject: 1\r\n\r\none\r\n"), []byte("Subject: 2\r\n\r\n.two)\r\n")}

// client is a source for a server of the test's own.
func client(t testing.TB, s *imapd.Server, mode dial.Mode, edit func(*Options)) *Source {
	t.Helper()
	o := Options{
		Server:   dial.Server{Scheme: "imap", Host: s.Host, Port: s.Port, Mode: mode},
		Username: "ada", Password: secret.New(canary),
	}
	if edit != nil {
		edit(&o)
	}
	source, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// open signs in.
func open(t testing.TB, s *Source) fetcher.Session {
	t.Helper()
	x, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// visit lists, retrieves everything, deletes it and tells the first error; whole
// are the mails that were read to io.EOF.
func visit(ctx context.Context, s *Source) (whole [][]byte, err error) {
	x, err := s.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	l, err := x.List(ctx, "INBOX", "")
	if err != nil {
		return nil, err
	}
	var due []spool.Settlement
	err = x.Retrieve(ctx, l.Refs, func(ref fetcher.Ref, r io.Reader) error {
		raw, err := io.ReadAll(r)
		if err == nil {
			whole = append(whole, raw)
			due = append(due, settlement(ref.UID, spool.Action{Verb: spool.Delete}))
		}
		return err
	})
	if err != nil {
		return whole, err
	}
	return whole, x.Settle(ctx, due)
}

func settlement(uid string, a spool.Action) spool.Settlement {
	return spool.Settlement{BoxKey: spool.BoxKey{Box: "INBOX"}, UID: uid, Action: a}
}
