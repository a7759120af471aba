package smtpd

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"

	"github.com/postferry/postferry/internal/mailtest/script"
)

// Mechanisms are those the client speaks, for one user with one password, which is
// the access token where one is wanted.
func Mechanisms(user, password string) map[string]Mechanism {
	const challenge = "<1896.697170952@postoffice.reston.mci.net>"
	verdict := func(right bool) script.Verdict {
		if right {
			return script.Accept
		}
		return script.Refuse
	}
	oneStep := func(want string, mistaken string) Mechanism {
		return func(step int, response []byte) ([]byte, script.Verdict) {
			switch {
			case response == nil:
				return nil, script.More
			case string(response) == want:
				return nil, script.Accept
			case step < 2 && mistaken != "" && len(response) > 1:
				return []byte(mistaken), script.More // RFC 7628 section 3.2.2: the client ends it
			}
			return nil, script.Refuse
		}
	}
	return map[string]Mechanism{
		"PLAIN":   oneStep("\x00"+user+"\x00"+password, ""),
		"XOAUTH2": oneStep("user="+user+"\x01auth=Bearer "+password+"\x01\x01", `{"status":"401"}`),
		"LOGIN": func(step int, response []byte) ([]byte, script.Verdict) {
			switch step {
			case 0:
				return []byte("Username:"), script.More
			case 1:
				if string(response) != user {
					return nil, script.Refuse
				}
				return []byte("Password:"), script.More
			}
			return nil, verdict(string(response) == password)
		},
		"CRAM-MD5": func(step int, response []byte) ([]byte, script.Verdict) {
			if step == 0 {
				return []byte(challenge), script.More
			}
			mac := hmac.New(md5.New, []byte(password))
			mac.Write([]byte(challenge))
			return nil, verdict(string(response) == user+" "+hex.EncodeToString(mac.Sum(nil)))
		},
		"OAUTHBEARER": func(step int, response []byte) ([]byte, script.Verdict) {
			prefix, suffix := "n,a="+user+",\x01host=127.0.0.1\x01port=", "\x01auth=Bearer "+password+"\x01\x01"
			text := string(response)
			switch {
			case response == nil:
				return nil, script.More
			case len(text) > len(prefix)+len(suffix) && text[:len(prefix)] == prefix && text[len(text)-len(suffix):] == suffix:
				return nil, script.Accept
			case text == "\x01":
				return nil, script.Refuse
			}
			return []byte(`{"status":"invalid_token"}`), script.More
		},
	}
}
