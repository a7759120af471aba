package parser

import (
	"fmt"
	"testing"
)

func TestAuthenticationIsBelievedOnlyFromWhomTheOperatorTrusts(t *testing.T) {
	const none = `{"spf":null,"dkim":null,"dmarc":null,"trusted":false}`
	for _, c := range []struct {
		fact   string
		fields []string
		want   string
	}{
		{"no field", nil, none},
		{"RFC 8601 appendix B.2", []string{"example.org 1; none"}, none},
		{"no result", []string{"mx.example.com 1; none"}, `{"spf":null,"dkim":null,"dmarc":null,"trusted":true}`},
		{"RFC 8601 appendix B.3", []string{"mx.example.com;\r\n          spf=pass smtp.mailfrom=example.net"}, `{"spf":"pass","dkim":null,"dmarc":null,"trusted":true}`},
		{"RFC 8601 appendix B.6", []string{"mx.example.com;\r\n  dkim=pass reason=\"good signature\"\r\n    header.i=@mail-router.example.net;\r\n  dkim=fail reason=\"bad signature\"\r\n    header.i=@newyork.example.com"}, `{"spf":null,"dkim":"pass","dmarc":null,"trusted":true}`},
		{"RFC 8601 appendix B.7", []string{"mx.example.com (foobar) 1 (baz);\r\n    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n      policy (A dot can go here) . (like that) expired\r\n      (this surprised me) = (as I wasn't expecting it) 1362471462"}, `{"spf":null,"dkim":"fail","dmarc":null,"trusted":true}`},
		{"all of them", []string{"mx.example.com; spf=softfail smtp.mailfrom=a; dkim=none; dmarc=fail (p=none) header.from=a"}, `{"spf":"softfail","dkim":"none","dmarc":"fail","trusted":true}`},
		{"the id in upper case and quotes", []string{`"MX.example.com"; dmarc=pass`}, `{"spf":null,"dkim":null,"dmarc":"pass","trusted":true}`},
		{"a foreign id", []string{"mx.evil.example; dmarc=pass"}, none},
		{"an id that only ends alike", []string{"evil.mx.example.com; dmarc=pass"}, none},
		{"an id that only begins alike", []string{"mx.example.com.evil.example; dmarc=pass"}, none},
		{"the id in a comment", []string{"evil.example (mx.example.com); dmarc=pass"}, none},
		{"the id in two words", []string{"evil mx.example.com; dmarc=pass"}, none},
		{"no id", []string{"; dmarc=pass"}, none},
		{"a version nobody knows", []string{"mx.example.com 2; dmarc=pass"}, none},
		{"the topmost holds", []string{"mx.example.com; dmarc=fail", "mx.example.com; dmarc=pass"}, `{"spf":null,"dkim":null,"dmarc":"fail","trusted":true}`},
		{"a lower one fills nothing in", []string{"mx.example.com; spf=fail", "mx.example.com; dmarc=pass"}, `{"spf":"fail","dkim":null,"dmarc":null,"trusted":true}`},
		{"a foreign one above", []string{"evil.example; dmarc=pass", "mx.example.com; dmarc=fail"}, `{"spf":null,"dkim":null,"dmarc":"fail","trusted":true}`},
		{"a result in a comment", []string{"mx.example.com; spf=fail (x; dmarc=pass)"}, `{"spf":"fail","dkim":null,"dmarc":null,"trusted":true}`},
		{"a result in a quoted-string", []string{`mx.example.com; spf=fail reason="x; dmarc=pass"`}, `{"spf":"fail","dkim":null,"dmarc":null,"trusted":true}`},
		{"a result amid a quoted-string", []string{`mx.example.com; spf=fail reason="x; dmarc=pass y"`}, `{"spf":"fail","dkim":null,"dmarc":null,"trusted":true}`},
		{"a result in an open quoted-string", []string{`mx.example.com; spf=fail reason="x; dmarc=pass`}, `{"spf":"fail","dkim":null,"dmarc":null,"trusted":true}`},
		{"a result in a property", []string{"mx.example.com; spf=fail smtp.mailfrom=dmarc=pass"}, `{"spf":"fail","dkim":null,"dmarc":null,"trusted":true}`},
		{"the greeting's SPF does not hide the sender's", []string{"mx.example.com; spf=pass smtp.helo=a; spf=fail smtp.mailfrom=b"}, `{"spf":"fail","dkim":null,"dmarc":null,"trusted":true}`},
		{"a result nobody knows", []string{"mx.example.com; spf=wonderful"}, `{"spf":null,"dkim":null,"dmarc":null,"trusted":true}`},
	} {
		var mail string
		for _, f := range c.fields {
			mail += "Authentication-Results: " + f + "\r\n"
		}
		m := parseOctets(t, []byte(mail+"From: a@example.com\r\n\r\nx"), Limits{AuthservIDs: []string{"mx.example.com"}})
		wantJSON(t, c.fact, m.Auth, c.want)
		if m := parseOctets(t, []byte(mail+"\r\nx"), Limits{}); m.Auth.Trusted {
			t.Errorf("%s: believed without anybody to trust", c.fact)
		}
	}
}

// TestForgedAuthenticationIsNeverBelieved writes the trusted id where a sender can
// write it in 240 ways, none of which is the id of a field.
func TestForgedAuthenticationIsNeverBelieved(t *testing.T) {
	n := 0
	for _, name := range []string{"Authentication-Results", "ARC-Authentication-Results", "X-Authentication-Results", "Authentication-Results-Original", "Received-SPF", "Comments"} {
		for _, id := range []string{"evil.example", "evil.example (mx.example.com)", `"evil.example; mx.example.com"`, "mx.example.com.", "mx.example.co", "xmx.example.com", "i=1; mx.example.com", "mx.example.com 9", "mx example com", "(mx.example.com)"} {
			for _, result := range []string{"dmarc=pass", "spf=pass", "dkim=pass", "mx.example.com; dmarc=pass"} {
				m := parseOctets(t, []byte(fmt.Sprintf("%s: %s; %s\r\nFrom: a@example.com\r\n\r\nx", name, id, result)), Limits{AuthservIDs: []string{"mx.example.com"}})
				if m.Auth.Trusted || m.Auth.DMARC != nil || m.Auth.SPF != nil || m.Auth.DKIM != nil {
					t.Errorf("%s: %s; %s: believed", name, id, result)
				}
				n++
			}
		}
	}
	if n != 240 {
		t.Errorf("%d ways", n)
	}
}
