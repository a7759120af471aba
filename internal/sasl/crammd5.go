package sasl

import (
	"crypto/hmac"
	"crypto/md5" // RFC 2195 is defined on it; HMAC-MD5 is not broken by MD5's collisions
	"encoding/hex"

	"github.com/postferry/postferry/internal/secret"
)

// cramMD5 answers a challenge with the keyed digest of it (RFC 2195 section 2).
type cramMD5 struct {
	username string
	password secret.Secret
}

// Start has no initial response: the server speaks first.
func (c *cramMD5) Start() (mech string, ir []byte, err error) { return CramMD5, nil, nil }

// Next returns user name, space, and the digest in lower-case hexadecimal.
func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	mac := hmac.New(md5.New, []byte(c.password.Reveal()))
	mac.Write(challenge)
	return []byte(c.username + " " + hex.EncodeToString(mac.Sum(nil))), nil
}
