// Package authd is an OAuth 2.0 authorisation server for tests: a token endpoint
// (RFC 6749) that knows refresh tokens and client credentials, and an introspection
// endpoint (RFC 7662) by which Dovecot, or a server of the test's own, learns whom a
// token is for.
//
//	a := authd.Start(t)
//	refresh := a.Consent("ada@example.com")
//	d := mailtest.StartDovecot(t, a.Dovecot(t)...)
//
// It speaks plain HTTP on loopback. Every token has a serial number, so a test can
// tell which one came.
package authd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The only client there is.
const (
	ClientID     = "postferry-test"
	ClientSecret = "client-secret-canary"
)

// Server is a running authorisation server. Its settings may be changed at any
// time.
type Server struct {
	http *httptest.Server

	mu       sync.Mutex
	life     time.Duration
	dies     time.Duration
	rotate   bool
	answer   http.HandlerFunc
	refresh  map[string]string // user by refresh token
	access   map[string]string // user by access token; "" is any, for the client itself
	serial   int
	requests []url.Values
}

// Start serves until the test ends. Tokens live an hour, refresh tokens for ever.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{life: time.Hour, refresh: map[string]string{}, access: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("/introspect", s.introspect)
	s.http = httptest.NewServer(mux)
	t.Cleanup(s.http.Close)
	return s
}

// TokenURL is the token endpoint.
func (s *Server) TokenURL() string { return s.http.URL + "/token" }

// Consent makes a refresh token of a user's.
func (s *Server) Consent(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	token := fmt.Sprintf("refresh-canary-%d", s.serial)
	s.refresh[token] = user
	return token
}

// Life is how long access tokens are said to live from now on; 0 says nothing.
func (s *Server) Life(d time.Duration) { s.set(func() { s.life = d }) }

// Dies has refresh tokens said to end after d; 0 says nothing.
func (s *Server) Dies(d time.Duration) { s.set(func() { s.dies = d }) }

// Rotate has each refresh token serve once and bring its successor.
func (s *Server) Rotate() { s.set(func() { s.rotate = true }) }

// Answer replaces the token endpoint's answers; nil ends that.
func (s *Server) Answer(h http.HandlerFunc) { s.set(func() { s.answer = h }) }

// Withdraw ends all access tokens there are.
func (s *Server) Withdraw() { s.set(func() { s.access = map[string]string{} }) }

func (s *Server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Requests are the forms sent to the token endpoint so far, with the client's
// credentials in them however they came.
func (s *Server) Requests() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.requests...)
}

// Takes reports whether token is good for user.
func (s *Server) Takes(user, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, there := s.access[token]
	return there && (owner == user || owner == "")
}

// Refusal is an answer of RFC 6749 section 5.2.
func Refusal(status int, code, description string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
	}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	r.ParseForm()
	form := r.PostForm
	if id, secret, ok := r.BasicAuth(); ok {
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	s.requests = append(s.requests, form)
	answer := s.answer
	if answer == nil {
		answer = s.grant(form)
	}
	s.mu.Unlock()
	answer(w, r)
}

// grant needs mu.
func (s *Server) grant(form url.Values) http.HandlerFunc {
	user := ""
	said := map[string]any{"token_type": "Bearer"}
	switch form.Get("grant_type") {
	case "refresh_token":
		old := form.Get("refresh_token")
		owner, there := s.refresh[old]
		if !there || form.Get("client_id") != ClientID {
			return Refusal(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
		}
		user = owner
		if s.rotate {
			s.serial++
			next := fmt.Sprintf("refresh-canary-%d", s.serial)
			delete(s.refresh, old)
			s.refresh[next] = user
			said["refresh_token"] = next
		}
		if s.dies > 0 {
			said["refresh_token_expires_in"] = int(s.dies.Seconds())
		}
	case "client_credentials":
		if form.Get("client_id") != ClientID || form.Get("client_secret") != ClientSecret {
			return Refusal(http.StatusUnauthorized, "invalid_client", "The client is not known.")
		}
	default:
		return Refusal(http.StatusBadRequest, "unsupported_grant_type", "")
	}
	s.serial++
	token := fmt.Sprintf("access-canary-%d", s.serial)
	s.access[token] = user
	said["access_token"] = token
	if s.life > 0 {
		said["expires_in"] = int(s.life.Seconds())
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(said)
	}
}

func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	s.mu.Lock()
	user, active := s.access[r.Form.Get("token")]
	s.mu.Unlock()
	said := map[string]any{"active": active}
	if active {
		said["username"] = user
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(said)
}

// Dovecot is the configuration by which Dovecot takes XOAUTH2 and OAUTHBEARER with
// tokens of this server's.
func (s *Server) Dovecot(t testing.TB) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "oauth2.conf")
	text := "introspection_url = " + s.http.URL + "/introspect\nintrospection_mode = post\nusername_attribute = username\nactive_attribute = active\nactive_value = true\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{
		"auth_mechanisms = plain login xoauth2 oauthbearer",
		"passdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = " + file + "\n}",
	}
}
