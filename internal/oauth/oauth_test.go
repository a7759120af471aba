package oauth_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/authd"
	"github.com/postferry/postferry/internal/oauth"
	"github.com/postferry/postferry/internal/secret"
)

const ada = "ada@example.com"

// bench is a pool before a server, with a clock that stands still.
type bench struct {
	*authd.Server
	t     *testing.T
	file  string
	clock *clock.Fake
	log   *bytes.Buffer
	pool  *oauth.Pool
}

func newBench(t *testing.T) *bench {
	b := &bench{Server: authd.Start(t), t: t, file: filepath.Join(t.TempDir(), "store", "tokens.json"), clock: clock.NewFake(time.Now()), log: &bytes.Buffer{}}
	b.restart()
	t.Cleanup(func() {
		if strings.Contains(b.log.String(), "canary") {
			t.Errorf("a secret in the log: %s", b.log)
		}
	})
	return b
}

// restart is a new process on the same file.
func (b *bench) restart() {
	b.pool = oauth.NewPool(oauth.Options{File: b.file, Clock: b.clock, Logger: slog.New(slog.NewTextHandler(b.log, nil))})
}

func (b *bench) refreshing(refresh string) oauth.Config {
	return oauth.Config{TokenURL: b.TokenURL(), ClientID: authd.ClientID, RefreshToken: secret.New(refresh)}
}

func (b *bench) source(c oauth.Config) *oauth.Source {
	b.t.Helper()
	s, err := b.pool.Source(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// token is a good token of the source's.
func (b *bench) token(s *oauth.Source) string {
	b.t.Helper()
	token, err := s.Token(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if !b.Takes(ada, token.Reveal()) {
		b.t.Errorf("the server does not know the token")
	}
	return token.Reveal()
}

func (b *bench) requests(want int) {
	b.t.Helper()
	if n := len(b.Requests()); n != want {
		b.t.Errorf("%d requests, want %d", n, want)
	}
}

func TestATokenIsKeptUntilFiveMinutesBeforeItsEnd(t *testing.T) {
	b := newBench(t)
	s := b.source(b.refreshing(b.Consent(ada)))
	first := b.token(s)
	b.clock.Advance(54 * time.Minute)
	if b.token(s) != first {
		t.Error("replaced after 54 minutes of an hour")
	}
	b.clock.Advance(2 * time.Minute)
	if b.token(s) == first {
		t.Error("not replaced 4 minutes before its end")
	}
	b.requests(2)
}

func TestShortLivedTokensAreUsedForThreeQuartersOfTheirLife(t *testing.T) {
	b := newBench(t)
	b.Life(60 * time.Second)
	s := b.source(b.refreshing(b.Consent(ada)))
	first := b.token(s)
	b.clock.Advance(40 * time.Second)
	second := b.token(s)
	b.clock.Advance(10 * time.Second)
	// The token was made 50 s ago.
	if b.token(s) == first || second != first {
		t.Errorf("tokens at 0 s, 40 s and 50 s of 60 s: %s, %s, %s", first, second, b.token(s))
	}
}

func TestMailboxesThatShareATokenFetchItOnce(t *testing.T) {
	b := newBench(t)
	c := b.refreshing(b.Consent(ada))
	arrived := make(chan struct{}, 100)
	release := make(chan struct{})
	b.Answer(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"access-canary-shared","expires_in":3600}`)
	})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			s, err := b.pool.Source(c)
			if err != nil {
				t.Error(err)
				return
			}
			if token, err := s.Token(t.Context()); err != nil || token.Reveal() != "access-canary-shared" {
				t.Errorf("%v, %v", token, err)
			}
		})
	}
	<-arrived
	close(release)
	wg.Wait()
	b.requests(1)
}

func TestOtherSecretsAndScopesAreOtherTokens(t *testing.T) {
	b := newBench(t)
	c := b.refreshing(b.Consent(ada))
	other, scoped := c, c
	other.RefreshToken = secret.New(b.Consent(ada))
	scoped.Scopes = []string{"pop"}
	same, again := b.source(c), b.source(c)
	if same != again || b.source(c) == b.source(other) || b.source(c) == b.source(scoped) {
		t.Error("sources are shared by what differs, or not by what is the same")
	}
	b.token(b.source(scoped))
	if got := b.Requests()[0].Get("scope"); got != "pop" {
		t.Errorf("scope %q", got)
	}
}

func TestAnApplicationSignsInByItself(t *testing.T) {
	b := newBench(t)
	s := b.source(oauth.Config{TokenURL: b.TokenURL(), ClientID: authd.ClientID, ClientSecret: secret.New(authd.ClientSecret), Scopes: []string{"mail", "all"}})
	token, err := s.Token(t.Context())
	if err != nil || !b.Takes("anyone@example.com", token.Reveal()) {
		t.Errorf("%v", err)
	}
	if r := b.Requests()[0]; r.Get("grant_type") != "client_credentials" || r.Get("scope") != "mail all" {
		t.Errorf("asked by %s for %s", r.Get("grant_type"), r.Get("scope"))
	}
}

func TestARefusedTokenIsReplacedUnlessItIsNew(t *testing.T) {
	b := newBench(t)
	s := b.source(b.refreshing(b.Consent(ada)))
	first := secret.New(b.token(s))
	if _, err := s.Renew(t.Context(), first); err == nil || !strings.Contains(err.Error(), "just now") {
		t.Errorf("a new token is replaced: %v", err)
	}
	b.clock.Advance(2 * time.Minute)
	second, err := s.Renew(t.Context(), first)
	if err != nil || second.Reveal() == first.Reveal() {
		t.Errorf("Renew = %v, %v", second, err)
	}
	third, err := s.Renew(t.Context(), first) // of another mailbox
	if err != nil || third.Reveal() != second.Reveal() {
		t.Errorf("the second mailbox was given another token: %v", err)
	}
	b.requests(2)
}

func TestRotatedRefreshTokensOutliveTheProcess(t *testing.T) {
	b := newBench(t)
	b.Rotate()
	c := b.refreshing(b.Consent(ada))
	for range 3 { // processes
		for range 2 { // refreshes
			b.token(b.source(c))
			b.clock.Advance(time.Hour)
		}
		b.restart()
	}
	b.requests(6)
	info, err := os.Stat(b.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want mode 0600", info.Mode(), err)
	}
	left, _ := filepath.Glob(b.file + "*")
	if want := []string{b.file, b.file + ".lock"}; !slices.Equal(left, want) {
		t.Errorf("files %q, want %q", left, want)
	}
}

func TestAnotherConfiguredTokenIsNotMixedUpWithTheKeptOne(t *testing.T) {
	b := newBench(t)
	b.Rotate()
	b.token(b.source(b.refreshing(b.Consent(ada))))
	b.restart()
	b.token(b.source(b.refreshing(b.Consent(ada))))
}

// Four processes refresh at a time, again and again; the server ends a refresh
// token with its first use.
func TestProcessesTakeTurnsWithRotatingTokens(t *testing.T) {
	b := newBench(t)
	b.Rotate()
	b.Life(time.Second)
	c := b.refreshing(b.Consent(ada))
	var wg sync.WaitGroup
	for range 4 {
		own := clock.NewFake(time.Now())
		s, err := oauth.NewPool(oauth.Options{File: b.file, Clock: realSleep{own}}).Source(c)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range 25 {
				if _, err := s.Token(t.Context()); err != nil {
					t.Error(err)
				}
				own.Advance(time.Hour)
			}
		})
	}
	wg.Wait()
	b.requests(100)
}

// realSleep waits for other processes in the time they need.
type realSleep struct{ *clock.Fake }

func (realSleep) Sleep(ctx context.Context, d time.Duration) error {
	return clock.System{}.Sleep(ctx, d/50)
}

func TestATokenThatCannotBeKeptIsUsedAndKeptLater(t *testing.T) {
	b := newBench(t)
	b.Rotate()
	if err := os.WriteFile(filepath.Dir(b.file), nil, 0o600); err != nil { // in place of the folder
		t.Fatal(err)
	}
	c := b.refreshing(b.Consent(ada))
	b.token(b.source(c))
	if !strings.Contains(b.log.String(), "new refresh token not kept") {
		t.Errorf("the log says %q", b.log)
	}
	b.clock.Advance(time.Hour)
	b.token(b.source(c))
	if err := os.Remove(filepath.Dir(b.file)); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Hour)
	b.token(b.source(c))
	b.restart()
	b.token(b.source(c))
}

func TestADamagedFileIsPutAside(t *testing.T) {
	b := newBench(t)
	b.Rotate()
	os.MkdirAll(filepath.Dir(b.file), 0o700)
	if err := os.WriteFile(b.file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := b.refreshing(b.Consent(ada))
	b.token(b.source(c))
	b.restart()
	b.token(b.source(c))
	if _, err := os.Stat(b.file + ".damaged"); err != nil {
		t.Error(err)
	}
}

func TestFailures(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
				return
			}
		}
	}
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for _, c := range []struct {
		fact    string
		answer  http.HandlerFunc
		refused bool
		says    string
		hint    string
	}{
		{"the grant has ended", authd.Refusal(400, "invalid_grant", "Token has been expired or revoked."), true, "answered 400: invalid_grant Token has been expired", "sign in again"},
		{"the client is not known", authd.Refusal(401, "invalid_client", "no"), true, "invalid_client", "client_secret"},
		{"Microsoft: the client secret has expired", authd.Refusal(401, "invalid_client", "AADSTS7000222: The provided client secret keys for app are expired."), true, "AADSTS7000222", "has expired: make a new one"},
		{"Microsoft: ended for not being used", authd.Refusal(400, "invalid_grant", "AADSTS700082: The refresh token has expired due to inactivity."), true, "AADSTS700082", "not used for long"},
		{"it answers with the secret", authd.Refusal(400, "invalid_grant", "Bad token refresh-canary-1"), true, secret.Masked, ""},
		{"the server has trouble", text(503, "upstream\x1b[2J"), false, `answered 503: upstream\x1b[2J`, "trouble"},
		{"the server is overrun", authd.Refusal(429, "invalid_grant", "slow down"), false, "429", "trouble"},
		{"a refusal without a code", text(403, "<html>blocked</html>"), true, "403", ""},
		{"a redirect is not followed", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, false, "302", ""},
		{"no token in the answer", text(200, `{"token_type":"Bearer"}`), false, "access_token", ""},
		{"no JSON in the answer", text(200, `<html>`), false, "cannot parse", ""},
		{"an endless answer", endless, false, "cannot parse", ""},
		{"the connection ends", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "EOF", "reaches 127.0.0.1"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			b := newBench(t)
			s := b.source(b.refreshing(b.Consent(ada)))
			b.Answer(c.answer)
			_, err := s.Token(t.Context())
			e, ok := err.(*oauth.Error)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if e.Refused != c.refused || !strings.Contains(e.Error(), c.says) || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("refused %v, %q, hint %q; want %v, %q, %q", e.Refused, e, e.Hint, c.refused, c.says, c.hint)
			}
			if all := e.Error() + e.Hint; strings.Contains(all, "canary") || strings.Contains(all, "/token") || strings.ContainsAny(all, "\x1b\n") {
				t.Errorf("a secret, a URL or a control octet in %q", all)
			}
		})
	}
}

func TestSilenceOfTheServerEndsWithTheContext(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.Answer(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := b.source(b.refreshing("x")).Token(ctx); err != context.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestARefusalHoldsForTenMinutesForAllWhoShare(t *testing.T) {
	b := newBench(t)
	b.Answer(authd.Refusal(400, "invalid_grant", "ended"))
	s := b.source(b.refreshing(b.Consent(ada)))
	for range 20 {
		if _, err := s.Token(t.Context()); !oauth.IsRefused(err) {
			t.Fatalf("error %v", err)
		}
	}
	b.requests(1)
	b.Answer(nil)
	b.clock.Advance(11 * time.Minute)
	b.token(s)
}

func TestAServerInTroubleIsAskedAgainAndTheOldTokenServes(t *testing.T) {
	b := newBench(t)
	s := b.source(b.refreshing(b.Consent(ada)))
	first := b.token(s)
	b.Answer(authd.Refusal(503, "temporarily_unavailable", ""))
	b.clock.Advance(57 * time.Minute)
	if b.token(s) != first || !strings.Contains(b.log.String(), "access token not renewed yet") {
		t.Errorf("another token, or no word of it: %s", b.log)
	}
	b.clock.Advance(4 * time.Minute)
	if _, err := s.Token(t.Context()); err == nil || oauth.IsRefused(err) {
		t.Errorf("after its end: %v", err)
	}
	b.Answer(nil)
	b.token(s)
}

func TestAWarningComesBeforeARefreshTokenEnds(t *testing.T) {
	b := newBench(t)
	s := b.source(b.refreshing(b.Consent(ada)))
	b.Dies(8 * 24 * time.Hour)
	b.token(s)
	if b.log.Len() > 0 {
		t.Errorf("8 days before: %s", b.log)
	}
	b.Dies(6 * 24 * time.Hour)
	for range 30 { // an hour each
		b.clock.Advance(time.Hour)
		b.token(s)
	}
	if n := strings.Count(b.log.String(), "the refresh token ends on"); n != 2 {
		t.Errorf("%d warnings in 30 hours, want 2: %s", n, b.log)
	}
	r := dial.NewRecord()
	if _, err := s.Token(dial.WithRecord(t.Context(), r)); err != nil {
		t.Fatal(err)
	}
	if step := r.Steps()[0]; step.Name != dial.StepToken || !strings.Contains(step.Said, "from 127.0.0.1, for the refresh token, good for ") || !strings.Contains(step.Warning, "sign in again") {
		t.Errorf("step %+v", step)
	}
}

func TestNoWarningWhereEachRefreshPutsTheEndOff(t *testing.T) {
	b := newBench(t)
	b.Rotate()
	b.Dies(30 * time.Minute)
	s := b.source(b.refreshing(b.Consent(ada)))
	for range 5 {
		b.token(s)
		b.clock.Advance(time.Hour)
	}
	if b.log.Len() > 0 {
		t.Errorf("warned: %s", b.log)
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		fact, script, want, says string
	}{
		{"a token", "echo access-canary", "access-canary", ""},
		{"JSON", `echo '{"access_token": "access-canary", "expires_in": 3599}'`, "access-canary", ""},
		{"nothing", "true", "", "printed nothing"},
		{"two words", "echo access canary", "", "no access token"},
		{"JSON without a token", `echo '{"token": "access-canary"}'`, "", "no access_token"},
		{"broken JSON", `echo '{"access_token": "access-canary'`, "", "malformed"},
		{"too much", "head -c 70000 /dev/zero | tr '\\0' a", "", "more than 64 KiB"},
		{"a failure", "echo please sign in >&2; exit 3", "", "exit status 3: please sign in"},
		{"a failure that repeats the token", "echo access-canary; echo got access-canary >&2; exit 3", "", "got " + secret.Masked},
	} {
		t.Run(c.fact, func(t *testing.T) {
			b := newBench(t)
			s := b.source(oauth.Config{Command: []string{"/bin/sh", "-c", c.script}})
			got, err := s.Token(t.Context())
			if got.Reveal() != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q, %v; want %q, %q", got.Reveal(), err, c.want, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the token is in %q", err)
			}
		})
	}
}

func TestACommandIsAskedAgainUnlessItSaysHowLong(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "n")
	script := func(print string) []string {
		return []string{"/bin/sh", "-c", fmt.Sprintf(`echo x >> %s; n=$(wc -l < %s); `+print, file, file)}
	}
	times := func() int {
		n, _ := os.ReadFile(file)
		return len(n) / 2
	}
	s := b.source(oauth.Config{Command: script(`echo token$n`)})
	for range 3 {
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Minute)
	}
	if times() != 3 {
		t.Errorf("run %d times in 3 minutes, want 3", times())
	}
	s = b.source(oauth.Config{Command: script(`echo "{\"access_token\":\"token$n\",\"expires_in\":\"3600\"}"`)})
	for range 3 {
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Minute)
	}
	if times() != 4 {
		t.Errorf("run %d times, want once more than 3", times())
	}
}

func TestConfigurationsAreChecked(t *testing.T) {
	s := secret.New("s")
	for _, c := range []struct {
		fact string
		c    oauth.Config
		says string
	}{
		{"nothing", oauth.Config{}, "provider or token_url"},
		{"no client", oauth.Config{Provider: oauth.Google, RefreshToken: s}, "client_id"},
		{"Google without a refresh token", oauth.Config{Provider: oauth.Google, ClientID: "c", ClientSecret: s}, "service account"},
		{"Microsoft without anything", oauth.Config{Provider: oauth.Microsoft, ClientID: "c"}, "refresh_token"},
		{"Microsoft's application without a tenant", oauth.Config{Provider: oauth.Microsoft, ClientID: "c", ClientSecret: s}, "tenant"},
		{"Microsoft's application", oauth.Config{Provider: oauth.Microsoft, ClientID: "c", ClientSecret: s, Tenant: "example.com"}, ""},
		{"Microsoft's user", oauth.Config{Provider: oauth.Microsoft, ClientID: "c", RefreshToken: s}, ""},
		{"Google's user", oauth.Config{Provider: oauth.Google, ClientID: "c", RefreshToken: s}, ""},
		{"secrets in clear", oauth.Config{TokenURL: "http://example.com/token", ClientID: "c", RefreshToken: s}, "https://"},
		{"no URL", oauth.Config{TokenURL: "example.com", ClientID: "c", RefreshToken: s}, "not a URL"},
		{"loopback", oauth.Config{TokenURL: "http://127.0.0.1:1/token", ClientID: "c", RefreshToken: s}, ""},
		{"a command", oauth.Config{Command: []string{"x"}}, ""},
	} {
		_, err := oauth.NewPool(oauth.Options{}).Source(c.c)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.fact, err, c.says)
		}
	}
}
