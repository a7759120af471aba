package main_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/authd"
)

func TestCheckTellsOfAccessTokens(t *testing.T) {
	a, binary := authd.Start(t), mailtest.BuildBinary(t)
	dovecot := mailtest.StartDovecot(t, a.Dovecot(t)...)
	dovecot.AddUser(t, ada, password)
	refresh := func(user string) string {
		return "{client_id: " + authd.ClientID + ", token_url: \"" + a.TokenURL() + "\", refresh_token: " + a.Consent(user) + "}"
	}
	for _, c := range []struct {
		fact, scheme string
		oauth2       string
		answer       http.HandlerFunc
		code         int
		step         string // that failed, or is told of
		says, fix    string
	}{
		{"a token for IMAP", "imaps", refresh(ada), nil, 0, "token", "from 127.0.0.1, for the refresh token, good for ", ""},
		{"a token for POP3", "pop3s", refresh(ada), nil, 0, "sign-in", "signed in as " + ada + " by OAUTHBEARER", ""},
		{"a token of a command's", "pop3s", `{command: [/bin/sh, -c, "echo nonsense"]}`, nil, 77, "sign-in", "-ERR", "the token is for this server"},
		{"the grant has ended", "imaps", refresh(ada), authd.Refusal(400, "invalid_grant", "Token has been expired or revoked."), 77, "token", "invalid_grant Token has been expired", "sign in again"},
		{"the authorisation server is away", "pop3s", `{client_id: c, token_url: "http://127.0.0.1:1/token", refresh_token: one-canary}`, nil, 69, "token", "connection refused", "reaches 127.0.0.1"},
		{"the token is of somebody else", "imaps", refresh("eve@example.com"), nil, 77, "sign-in", "NO", "the token is for this server"},
		{"the client is not named", "imaps", `{provider: google, refresh_token: one-canary}`, nil, 78, "config", "client_id is missing", ""},
	} {
		t.Run(c.fact, func(t *testing.T) {
			a.Answer(c.answer)
			w := &world{t: t, binary: binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			w.write("mailboxes:\n  box: {server: \"" + dovecot.URL(c.scheme) + "\", tls: {ca_file: " + dovecot.CAFile + "}, username: " + ada + ", oauth2: " + c.oauth2 +
				", deliver: [out]}\nsinks:\n  out: {type: file, path: \"-\"}\n")
			code, got, out := w.check("box", "--transcript")
			if code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, out)
			}
			steps := got.Targets[len(got.Targets)-1].Steps
			i := slices.IndexFunc(steps, func(s checkedStep) bool { return s.Step == c.step })
			if i < 0 {
				t.Fatalf("no step %s:\n%s", c.step, out)
			}
			if s := steps[i]; (s.Status == "failed") != (c.code != 0) || !strings.Contains(s.Said, c.says) || !strings.Contains(s.Fix, c.fix) {
				t.Errorf("step %s is %s, %q, fix %q; want %q, %q", s.Step, s.Status, s.Said, s.Fix, c.says, c.fix)
			}
			if strings.Contains(out, "canary") || strings.Contains(out, "nonsense\"") {
				t.Errorf("a secret in the output:\n%s", out)
			}
		})
	}
}
