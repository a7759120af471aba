package pop3

import (
	"bytes"
	"context"
	"encoding/base64"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postferry/postferry/internal/sasl"
)

const (
	// maxCommand is the longest command, CRLF included (RFC 2449 section 4). A longer
	// initial response waits for a challenge (RFC 5034 section 4).
	maxCommand = 255
	// maxSteps bounds an exchange; the longest has two challenges and the error of
	// OAuth.
	maxSteps = 8
)

// authenticate runs a SASL exchange (RFC 5034 section 4). LOGIN, which no RFC
// defines, begins without an initial response, since not every server takes one.
func (x *session) authenticate(ctx context.Context, op string, client gosasl.Client) error {
	return x.do(ctx, op, func() error {
		x.g.expect(nil, 0)
		if x.g.err != nil {
			return x.g.err
		}
		mechanism, initial, err := client.Start()
		if err != nil {
			return err
		}
		line := "AUTH " + mechanism
		if first := initialResponse(initial); first != "" && mechanism != sasl.Login && len(line)+1+len(first)+2 <= maxCommand {
			line, initial = line+" "+first, nil
		}
		if err := x.say(line); err != nil {
			return err
		}
		for range maxSteps {
			challenge, more, err := x.challenge()
			if err != nil || !more {
				return err
			}
			response := initial
			if initial == nil {
				if response, err = client.Next(challenge); err != nil {
					return violatef("the sign-in did not run as it must: %s", printable(err.Error()))
				}
			}
			initial = nil
			if err := x.say(base64.StdEncoding.EncodeToString(response)); err != nil {
				return err
			}
		}
		return violatef("the server asks on and on while signing in")
	})
}

// initialResponse is how one stands in the command: "=" for one that is there and
// empty, "" for none.
func initialResponse(ir []byte) string {
	switch {
	case ir == nil:
		return ""
	case len(ir) == 0:
		return "="
	}
	return base64.StdEncoding.EncodeToString(ir)
}

func (x *session) say(line string) error {
	_, err := x.g.Write([]byte(line + "\r\n"))
	return err
}

// challenge reads what the server says in an exchange: a challenge, or its end.
func (x *session) challenge() (octets []byte, more bool, err error) {
	line, err := x.g.line()
	if err != nil {
		return nil, false, err
	}
	rest, more := bytes.CutPrefix(line, []byte("+ "))
	if !more && string(line) != "+" { // some servers leave the space out
		_, err := x.g.parse(line)
		return nil, false, err
	}
	octets, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(rest)))
	if err != nil {
		return nil, true, violatef("a challenge of the sign-in is no base64")
	}
	return octets, true, nil
}
