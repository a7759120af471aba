package sasl

import (
	"github.com/emersion/go-sasl"

	"github.com/postferry/postferry/internal/secret"
)

// login answers two challenges with name and password, whatever the challenges
// say: no RFC defines LOGIN, and servers word them differently. go-sasl wants
// "Password:" to the letter.
type login struct {
	username string
	password secret.Secret
	step     int
}

// Start has no initial response, which not every server takes.
func (c *login) Start() (mech string, ir []byte, err error) { return Login, nil, nil }

// Next gives the name, then the password.
func (c *login) Next([]byte) ([]byte, error) {
	c.step++
	switch c.step {
	case 1:
		return []byte(c.username), nil
	case 2:
		return []byte(c.password.Reveal()), nil
	}
	return nil, sasl.ErrUnexpectedServerChallenge
}
