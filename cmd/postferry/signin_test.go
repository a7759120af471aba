package main

import (
	"testing"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/secret"
)

func TestASignInDiffersWithWhatItIsMadeOfAndTellsNoSecret(t *testing.T) {
	first := mailboxSetup{Mailbox: &config.Mailbox{Server: "imaps://imap.example.com", Username: "ada", Password: secret.New("one")}}
	second := mailboxSetup{Mailbox: &config.Mailbox{Server: "imaps://imap.example.com", Username: "ada", Password: secret.New("two")}}
	if a, b := first.signIn(), second.signIn(); a == b || a != first.signIn() || len(a) != 4 {
		t.Errorf("%q and %q", a, b)
	}
}
