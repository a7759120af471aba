package script

import "encoding/base64"

// Mechanism is the server's half of a SASL exchange: it is given the client's
// response (nil: none came yet) and gives a challenge, or ends the exchange. Each
// exchange begins with step 0.
type Mechanism func(step int, response []byte) (challenge []byte, v Verdict)

// Verdict is how a step of an exchange ended.
type Verdict int

// The verdicts. The last two are the client's.
const (
	More Verdict = iota
	Accept
	Refuse
	Cancelled // by "*"
	Gone      // with the connection
)

// Exchange goes through an exchange to its end. initial is the response in the
// command, where there is one; ask sends a challenge, which is in base64, and gives
// the client's next line, unless that is gone.
func (m Mechanism) Exchange(initial string, inline bool, ask func(challenge string) (line string, ok bool)) Verdict {
	var response []byte
	if inline {
		response = decode(initial)
	}
	for step := 0; ; step++ {
		challenge, v := m(step, response)
		if v != More {
			return v
		}
		line, ok := ask(base64.StdEncoding.EncodeToString(challenge))
		switch {
		case !ok:
			return Gone
		case line == "*":
			return Cancelled
		}
		response = decode(line)
	}
}

// decode gives the octets of a response; never nil.
func decode(line string) []byte {
	if line == "=" {
		return []byte{}
	}
	octets, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return []byte("no base64: " + line)
	}
	return append([]byte{}, octets...)
}
