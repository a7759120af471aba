package sasl

import "github.com/postferry/postferry/internal/secret"

// xoauth2 is Google's and Microsoft's bearer mechanism, older than OAUTHBEARER:
// user=…^Aauth=Bearer …^A^A.
type xoauth2 struct {
	username string
	token    secret.Secret
}

// Start sends everything in the initial response.
func (c *xoauth2) Start() (mech string, ir []byte, err error) {
	return XOAuth2, []byte("user=" + c.username + "\x01auth=Bearer " + c.token.Reveal() + "\x01\x01"), nil
}

// Next answers the server's error document with an empty response, after which
// the server ends the exchange with its own words.
func (c *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }
