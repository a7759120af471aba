package sasl

import (
	"bytes"

	"github.com/emersion/go-sasl"

	"github.com/postferry/postferry/internal/secret"
)

// login answers challenges with name and password. No RFC defines LOGIN, and
// servers word their challenges differently, leave them empty, or ask for the name
// although it came as the initial response. go-sasl wants "Password:" to the letter.
type login struct {
	username string
	password secret.Secret
	named    bool // the name was asked for
	done     bool // the password was given
}

// Start has the name for the initial response.
func (c *login) Start() (mech string, ir []byte, err error) { return Login, []byte(c.username), nil }

// Next gives the name where the challenge asks for it, once, else the password.
func (c *login) Next(challenge []byte) ([]byte, error) {
	switch {
	case c.done:
		return nil, sasl.ErrUnexpectedServerChallenge
	case !c.named && bytes.Contains(bytes.ToLower(challenge), []byte("user")):
		c.named = true
		return []byte(c.username), nil
	}
	c.done = true
	return []byte(c.password.Reveal()), nil
}
