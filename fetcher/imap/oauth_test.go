package imap_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/authd"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/internal/secret"
)

// listed is how many mails a new session lists.
func listed(t *testing.T, s *imap.Source) int {
	t.Helper()
	x, err := s.Open(t.Context())
	if err != nil {
		t.Error(err)
		return -1
	}
	defer x.Close()
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil {
		t.Error(err)
	}
	return len(l.Refs)
}

func TestDovecotTakesAccessTokens(t *testing.T) {
	a := authd.Start(t)
	d := mailtest.StartDovecot(t, a.Dovecot(t)...)
	d.AddUser(t, ada, password)
	d.Append(t, ada, "INBOX", []byte("Subject: 1\r\n\r\none\r\n"))
	now := clock.NewFake(time.Now())
	pool := oauth.NewPool(oauth.Options{Clock: now})
	config := oauth.Config{TokenURL: a.TokenURL(), ClientID: authd.ClientID, RefreshToken: secret.New(a.Consent(ada))}
	tokens, err := pool.Source(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"", "xoauth2", "oauthbearer"} {
		t.Run("by "+way, func(t *testing.T) {
			o := dovecotOptions(t, d, "imaps", false)
			o.Password, o.Tokens, o.Auth = secret.Secret{}, tokens, way
			s := newSource(t, o)
			if n := listed(t, s); n != 1 {
				t.Errorf("%d mails are listed", n)
			}
			asked := len(a.Requests())
			a.Withdraw() // before its time
			now.Advance(2 * time.Minute)
			if n := listed(t, s); n != 1 {
				t.Errorf("%d mails are listed with a new token", n)
			}
			if n := len(a.Requests()) - asked; n != 1 {
				t.Errorf("%d tokens were made in place of one", n)
			}
		})
	}
	t.Run("of somebody else", func(t *testing.T) {
		other := config
		other.RefreshToken = secret.New(a.Consent("eve@example.com"))
		o := dovecotOptions(t, d, "imaps", false)
		o.Password, o.Tokens = secret.Secret{}, nil
		if o.Tokens, err = pool.Source(other); err != nil {
			t.Fatal(err)
		}
		asked := len(a.Requests())
		_, err := newSource(t, o).Open(t.Context())
		if fetcher.RadiusOf(err) != fetcher.AccountRadius || fetcher.CauseOf(err) != fetcher.Refused || !strings.Contains(err.Error(), "the token is for this server") || strings.Contains(err.Error(), "canary") {
			t.Errorf("error %v", err)
		}
		if n := len(a.Requests()) - asked; n != 1 {
			t.Errorf("%d tokens were made, want 1", n)
		}
	})
}
