package sasl_test

import (
	"testing"

	"github.com/postferry/postferry/internal/sasl"
	"github.com/postferry/postferry/internal/secret"
)

// RFC 2195 section 2 gives the exchange of user tim with the shared secret
// tanstaaftanstaaf.
func TestCramMD5AnswersTheChallengeOfRFC2195(t *testing.T) {
	c := sasl.Credentials{Username: "tim", Password: secret.New("tanstaaftanstaaf")}.Client("cram-md5")
	if mech, ir, err := c.Start(); mech != "CRAM-MD5" || ir != nil || err != nil {
		t.Fatalf("Start() = %q, %q, %v", mech, ir, err)
	}
	got, err := c.Next([]byte("<1896.697170952@postoffice.reston.mci.net>"))
	if want := "tim b913a602c7eda7a495b4e6e7334d3890"; string(got) != want || err != nil {
		t.Errorf("Next() = %q, %v, want %q", got, err, want)
	}
}

// The initial response is the one in Google's description of XOAUTH2.
func TestXOAuth2SendsUserAndBearer(t *testing.T) {
	c := sasl.Credentials{Username: "someuser@example.com", Token: secret.New("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")}.Client("XOAUTH2")
	mech, ir, err := c.Start()
	want := "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
	if mech != "XOAUTH2" || string(ir) != want || err != nil {
		t.Errorf("Start() = %q, %q, %v, want %q", mech, ir, err, want)
	}
	if got, err := c.Next([]byte(`{"status":"401"}`)); got == nil || len(got) != 0 || err != nil {
		t.Errorf("Next(error document) = %v, %v, want an empty response", got, err)
	}
}

// RFC 7628 section 4.1 gives the initial response of OAUTHBEARER.
func TestOAuthBearerSendsHostPortAndToken(t *testing.T) {
	c := sasl.Credentials{
		Username: "user@example.com", Token: secret.New("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
		Host: "server.example.com", Port: 143,
	}.Client("OAUTHBEARER")
	_, ir, err := c.Start()
	want := "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
	if string(ir) != want || err != nil {
		t.Errorf("Start() = %q, %v, want %q", ir, err, want)
	}
}

// RFC 7628 section 3.2.3 has the client end a refused exchange with %x01, and RFC
// 5801 section 4 has commas and equals signs in names written =2C and =3D.
func TestOAuthBearerEndsARefusedExchangeAndEscapesTheName(t *testing.T) {
	c := sasl.Credentials{Username: "a=b,c", Token: secret.New("t")}.Client("OAUTHBEARER")
	if _, ir, err := c.Start(); string(ir) != "n,a=a=3Db=2Cc,\x01auth=Bearer t\x01\x01" || err != nil {
		t.Errorf("Start() = %q, %v", ir, err)
	}
	if got, err := c.Next([]byte(`{"status":"invalid_token"}`)); string(got) != "\x01" || err != nil {
		t.Errorf("Next(error document) = %q, %v, want %%x01", got, err)
	}
	if _, err := c.Next(nil); err == nil {
		t.Error("Next() answers an empty challenge")
	}
}

// The challenges are those of Dovecot, Microsoft Exchange and Courier. A server that
// takes no initial response asks for the name, with words or without.
func TestLoginAnswersHoweverItIsAsked(t *testing.T) {
	for _, c := range []struct {
		fact         string
		asked, given []string
	}{
		{"after the name as initial response", []string{"Password:"}, []string{"p"}},
		{"other words", []string{"Password\x00"}, []string{"p"}},
		{"no words", []string{""}, []string{"p"}},
		{"the name is asked for", []string{"Username:", "Password:"}, []string{"u", "p"}},
		{"in other words", []string{"User Name\x00", "PASSWORD"}, []string{"u", "p"}},
	} {
		client := sasl.Credentials{Username: "u", Password: secret.New("p")}.Client("LOGIN")
		if mech, ir, err := client.Start(); mech != "LOGIN" || string(ir) != "u" || err != nil {
			t.Fatalf("Start() = %q, %q, %v", mech, ir, err)
		}
		for i := range c.asked {
			if got, err := client.Next([]byte(c.asked[i])); string(got) != c.given[i] || err != nil {
				t.Errorf("%s: %q is answered by %q, %v", c.fact, c.asked[i], got, err)
			}
		}
		if _, err := client.Next(nil); err == nil {
			t.Errorf("%s: a further challenge is answered", c.fact)
		}
	}
}

// RFC 4422 appendix A: the identity to act as, which may be empty.
func TestExternalSendsTheIdentity(t *testing.T) {
	mech, ir, err := sasl.Credentials{Username: "ada@example.com"}.Client("EXTERNAL").Start()
	if mech != "EXTERNAL" || string(ir) != "ada@example.com" || err != nil {
		t.Errorf("Start() = %q, %q, %v", mech, ir, err)
	}
}

func TestChooseTakesTheBestOfferedMechanism(t *testing.T) {
	password := sasl.Credentials{Username: "u", Password: secret.New("p")}
	token := sasl.Credentials{Username: "u", Token: secret.New("t"), Password: secret.New("p")}
	certificate := sasl.Credentials{Username: "u", Certificate: true}
	with := func(c sasl.Credentials, only string, certificate bool) sasl.Credentials {
		c.Only, c.Certificate = only, certificate
		return c
	}
	for _, c := range []struct {
		fact      string
		offered   []string
		creds     sasl.Credentials
		encrypted bool
		want      string
	}{
		{"PLAIN before CRAM-MD5 under TLS", []string{"CRAM-MD5", "PLAIN"}, password, true, "PLAIN"},
		{"CRAM-MD5 before PLAIN in clear text", []string{"PLAIN", "CRAM-MD5"}, password, false, "CRAM-MD5"},
		{"LOGIN when there is nothing else", []string{"GSSAPI", "LOGIN"}, password, true, "LOGIN"},
		{"names are compared without case", []string{"plain"}, password, true, "PLAIN"},
		{"a token never goes as a password", []string{"PLAIN", "LOGIN"}, token, true, ""},
		{"a token prefers the standard", []string{"XOAUTH2", "OAUTHBEARER"}, token, true, "OAUTHBEARER"},
		{"a token over XOAUTH2", []string{"PLAIN", "XOAUTH2"}, token, true, "XOAUTH2"},
		{"nothing fits", []string{"GSSAPI"}, password, true, ""},
		{"a certificate alone is EXTERNAL", []string{"PLAIN", "EXTERNAL"}, certificate, true, "EXTERNAL"},
		{"a certificate that the server does not ask for", []string{"PLAIN"}, certificate, true, ""},
		{"no certificate without TLS", []string{"EXTERNAL"}, certificate, false, ""},
		{"a password beside a certificate is the password", []string{"EXTERNAL", "PLAIN"}, with(password, "", true), true, "PLAIN"},
		{"unless EXTERNAL is wanted", []string{"EXTERNAL", "PLAIN"}, with(password, "external", true), true, "EXTERNAL"},
		{"EXTERNAL is wanted and there is no certificate", []string{"EXTERNAL", "PLAIN"}, with(password, "external", false), true, ""},
		{"the wanted one before a better one", []string{"PLAIN", "CRAM-MD5"}, with(password, "cram-md5", false), true, "CRAM-MD5"},
		{"the wanted one is not offered", []string{"PLAIN"}, with(password, "cram-md5", false), true, ""},
		{"the wanted one takes no tokens", []string{"PLAIN", "XOAUTH2"}, with(token, "plain", false), true, ""},
		{"one kind of token before another", []string{"OAUTHBEARER", "XOAUTH2"}, with(token, "xoauth2", false), true, "XOAUTH2"},
	} {
		client, got := sasl.Choose(c.offered, c.creds, c.encrypted)
		if got != c.want || (client == nil) != (c.want == "") {
			t.Errorf("%s: Choose(%q) = %v, %q, want %q", c.fact, c.offered, client, got, c.want)
		}
	}
}

func TestUnknownMechanismHasNoClient(t *testing.T) {
	if c := (sasl.Credentials{}).Client("KERBEROS_V4"); c != nil {
		t.Errorf("Client(KERBEROS_V4) = %v, want nil", c)
	}
}
