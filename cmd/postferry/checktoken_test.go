package main_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/authd"
	"github.com/postferry/postferry/internal/secret"
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
		{"the authorisation server is silent", "imaps", refresh(ada), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 69, "token", "no answer within 500ms", "reaches it over HTTPS"},
		{"the client is not named", "imaps", `{provider: google, refresh_token: one-canary}`, nil, 78, "config", "client_id is missing", ""},
	} {
		t.Run(c.fact, func(t *testing.T) {
			a.Answer(c.answer)
			w := &world{t: t, binary: binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			w.write("mailboxes:\n  box: {server: \"" + dovecot.URL(c.scheme) + "\", tls: {ca_file: " + dovecot.CAFile + "}, username: " + ada + ", oauth2: " + c.oauth2 +
				", deliver: [out]}\nsinks:\n  out: {type: file, path: \"-\"}\n")
			args := []string{"box", "--transcript"}
			if strings.Contains(c.says, "500ms") {
				args = append(args, "--timeout", "500ms")
			}
			code, got, out := w.check(args...)
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

// Everything postferry prints and writes is looked at for tokens and secrets, but for
// the file that keeps the newest refresh token.
func TestTokensAreNowhereToBeSeen(t *testing.T) {
	a := authd.Start(t)
	a.Rotate()
	w := &world{t: t, dovecot: mailtest.StartDovecot(t, a.Dovecot(t)...), binary: mailtest.BuildBinary(t), dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "postferry.yaml")
	w.dovecot.AddUser(t, ada, password)
	w.fill(mailtest.Mix(2, 1))
	oauth2 := "{client_id: " + authd.ClientID + ", client_secret: " + authd.ClientSecret + ", token_url: \"" + a.TokenURL() + "\", refresh_token: " + a.Consent(ada) + "}"
	config := "mailboxes:\n"
	for _, scheme := range []string{"imaps", "pop3s"} {
		config += "  " + scheme + ": {server: \"" + w.dovecot.URL(scheme) + "\", tls: {ca_file: " + w.dovecot.CAFile + "}, username: " + ada + ", oauth2: " + oauth2 + ", backfill: all, deliver: [out]}\n"
	}
	w.write(config + "sinks:\n  out: {type: file, path: out.jsonl}\n")
	said := ""
	for _, args := range [][]string{
		{"run", "--once", "--log-level", "debug"}, {"run", "--once", "--log-level", "debug", "--log-format", "json"}, {"check", "--transcript"}, {"check", "-o", "json", "--transcript"},
		{"config", "show"}, {"status"}, {"list"}, {"list", "-o", "json"},
	} {
		code, stdout, stderr := w.run(args...)
		if code != 0 {
			t.Errorf("%q exits with %d: %s", args, code, stderr)
		}
		said += stdout + stderr
	}
	for name, text := range tree(t, w.dir) {
		switch {
		case name == w.config:
		case strings.HasSuffix(name, ".tokens"):
			if !strings.Contains(text, "refresh-canary") {
				t.Errorf("%s keeps no refresh token", name)
			}
		default:
			said += text
		}
	}
	hide := dial.NewHider(secret.New("canary"))
	for line := range strings.Lines(said) {
		if hide.Holds(line) {
			t.Errorf("a secret in %q", line)
		}
	}
	if n := len(a.Requests()); n != 4 { // one for each command that signs in, however many mailboxes share the token
		t.Errorf("%d tokens were asked for, want 4", n)
	}
}
