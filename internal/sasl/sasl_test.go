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

func TestChooseTakesTheBestOfferedMechanism(t *testing.T) {
	password := sasl.Credentials{Username: "u", Password: secret.New("p")}
	token := sasl.Credentials{Username: "u", Token: secret.New("t"), Password: secret.New("p")}
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
