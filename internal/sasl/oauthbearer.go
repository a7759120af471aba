package sasl

import (
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
)

// oauthBearer is RFC 7628. go-sasl's client leaves the exchange where the server
// refuses the token; this one ends it as section 3.2.3 wants, so that the server's
// words come through and the connection can be used further.
type oauthBearer struct{ c Credentials }

// authzid is a saslname: comma and equals sign are escaped (RFC 5801 section 4).
var authzid = strings.NewReplacer("=", "=3D", ",", "=2C")

// Start sends everything in the initial response.
func (o *oauthBearer) Start() (mech string, ir []byte, err error) {
	text := "n,"
	if o.c.Username != "" {
		text += "a=" + authzid.Replace(o.c.Username)
	}
	text += ",\x01"
	if o.c.Host != "" {
		text += "host=" + o.c.Host + "\x01"
	}
	if o.c.Port != 0 {
		text += "port=" + strconv.Itoa(o.c.Port) + "\x01"
	}
	return OAuthBearer, []byte(text + "auth=Bearer " + o.c.Token.Reveal() + "\x01\x01"), nil
}

// Next answers the server's error document with %x01 (RFC 7628 section 3.2.3),
// after which the server ends the exchange with its own words.
func (o *oauthBearer) Next(challenge []byte) ([]byte, error) {
	if len(challenge) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	return []byte{0x01}, nil
}
