package oauth

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/postferry/postferry/internal/secret"
)

// fetchTime bounds a request with all that belongs to it.
const fetchTime = 30 * time.Second

// answer is what a fetch brought.
type answer struct {
	token       secret.Secret
	life        time.Duration // 0: not said
	refreshLife time.Duration // of the refresh token; 0: not said, or for ever
	rotated     bool          // there is a new refresh token
}

// newClient makes a client that follows no redirects, since secrets are sent, and
// that reads and waits for no more than a token can need. oauth2 reads no more
// than 1 MiB of a body.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true, // a token an hour keeps no connection busy
			ForceAttemptHTTP2:      true,
		},
	}
}

// fetch gets a token. One at a time for each source.
func (s *Source) fetch(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	switch s.c.kind() {
	case byCommand:
		return s.run(ctx)
	case byRefresh:
		return s.refresh(ctx)
	}
	t, err := s.request(ctx, secret.Secret{})
	if err != nil {
		return answer{}, err
	}
	return answerOf(t), nil
}

// refresh uses the newest refresh token there is (RFC 6749 section 6), and keeps a
// newer one that comes with the answer. Other processes wait meanwhile, since a
// refresh token that is used twice may end them all.
func (s *Source) refresh(ctx context.Context) (answer, error) {
	k, grant := s.pool.keep, s.c.grant()
	unlock, err := k.lock(ctx)
	if err != nil {
		s.pool.log.Warn("refresh tokens are used without a lock", "error", err)
	} else {
		defer unlock()
	}
	with := s.newest
	if with.IsZero() {
		if with, err = k.load(grant); err != nil {
			s.pool.log.Warn("kept refresh tokens not read, the configured one is used", "error", err)
		}
	}
	if with.IsZero() {
		with = s.c.RefreshToken
	}
	t, err := s.request(ctx, with)
	if err != nil {
		return answer{}, err
	}
	a := answerOf(t)
	a.rotated = t.RefreshToken != "" && t.RefreshToken != with.Reveal()
	if a.rotated {
		with = secret.New(t.RefreshToken)
	}
	if !a.rotated && s.newest.IsZero() {
		return a, nil
	}
	s.newest = secret.Secret{}
	if err := k.save(grant, with); err != nil {
		s.newest = with // until it can be kept
		s.pool.log.Error("new refresh token not kept: unless that works before this process ends, somebody has to sign in again; make the folder of the store writable",
			"error", err)
	}
	return a, nil
}

// request asks the token endpoint. oauth2's own way to refresh sends no scopes,
// by which Microsoft tells which of its services a token is for.
func (s *Source) request(ctx context.Context, refresh secret.Secret) (*oauth2.Token, error) {
	c := clientcredentials.Config{
		ClientID: s.c.ClientID, ClientSecret: s.c.ClientSecret.Reveal(), TokenURL: s.c.endpoint(), Scopes: s.c.scopes(),
	}
	if s.c.Provider != "" && s.c.TokenURL == "" || s.c.ClientSecret.IsZero() {
		c.AuthStyle = oauth2.AuthStyleInParams // RFC 6749 section 2.3.1; else both ways are tried
	}
	if !refresh.IsZero() {
		c.EndpointParams = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}}
	}
	t, err := c.Token(context.WithValue(ctx, oauth2.HTTPClient, s.pool.http))
	if err != nil {
		return nil, failure(err, s.c.host(), s.c.ClientSecret, s.c.RefreshToken, refresh)
	}
	return t, nil
}

func answerOf(t *oauth2.Token) answer {
	a := answer{token: secret.New(t.AccessToken)}
	if !t.Expiry.IsZero() {
		a.life = time.Until(t.Expiry)
	}
	for _, key := range []string{"refresh_token_expires_in", "refresh_expires_in"} { // Google; Keycloak
		if seconds := secondsOf(t.Extra(key)); seconds > 0 {
			a.refreshLife = seconds
			break
		}
	}
	return a
}

// maxLife bounds what is believed of lives.
const maxLife = 10 * 365 * 24 * time.Hour

// secondsOf reads a number of seconds, as a number or as text.
func secondsOf(v any) time.Duration {
	var n float64
	switch v := v.(type) {
	case float64:
		n = v
	case string:
		n, _ = strconv.ParseFloat(v, 64) // 0 is "not said"
	}
	if !(n > 0) {
		return 0
	}
	return time.Duration(min(n, maxLife.Seconds()) * float64(time.Second))
}
