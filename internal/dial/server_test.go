package dial_test

import (
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/dial"
)

func TestParse(t *testing.T) {
	tests := []struct {
		url      string
		insecure bool
		want     dial.Server
	}{
		{"imaps://imap.example.com", false, dial.Server{Scheme: "imaps", Host: "imap.example.com", Port: "993", Mode: dial.Implicit}},
		{"imap://imap.example.com", false, dial.Server{Scheme: "imap", Host: "imap.example.com", Port: "143", Mode: dial.StartTLS}},
		{"pop3s://pop.example.com:9995", false, dial.Server{Scheme: "pop3s", Host: "pop.example.com", Port: "9995", Mode: dial.Implicit}},
		{"POP3://Pop.Example.COM.", false, dial.Server{Scheme: "pop3", Host: "pop.example.com", Port: "110", Mode: dial.StartTLS}},
		{"pop3://127.0.0.1:1110", true, dial.Server{Scheme: "pop3", Host: "127.0.0.1", Port: "1110", Mode: dial.Plain}},
		{"imap://[::1]", true, dial.Server{Scheme: "imap", Host: "::1", Port: "143", Mode: dial.Plain}},
		{"smtp://smtp.example.com", false, dial.Server{Scheme: "smtp", Host: "smtp.example.com", Port: "587", Mode: dial.StartTLS}},
		{"smtps://smtp.example.com/", false, dial.Server{Scheme: "smtps", Host: "smtp.example.com", Port: "465", Mode: dial.Implicit}},
		{"imaps://post.bücher.example", false, dial.Server{Scheme: "imaps", Host: "post.xn--bcher-kva.example", Port: "993", Mode: dial.Implicit}},
	}
	for _, test := range tests {
		t.Run(test.url, func(t *testing.T) {
			got, err := dial.Parse(test.url, test.insecure)
			if err != nil || got != test.want {
				t.Errorf("Parse = %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		url      string
		insecure bool
		says     string
	}{
		{"imap.example.com", false, "has no scheme"},
		{"imap.example.com:993", false, "has no scheme"},
		{"https://imap.example.com", false, `"https" is not`},
		{"imaps://", false, "the host is missing"},
		{"imaps://:993", false, "the host is missing"},
		{"imaps://user:canary@imap.example.com", false, "must not hold a user name or password"},
		{"ima%ps://user:canary@imap.example.com", false, "is not imaps"},
		{"imaps://imap.example.com/INBOX", false, "must end after the host"},
		{"imaps://imap.example.com?tls=off", false, "must end after the host"},
		{"imaps://imap.example.com#x", false, "must end after the host"},
		{"imaps://imap.example.com:0", false, `port "0"`},
		{"imaps://imap.example.com:65536", false, `port "65536"`},
		{"imaps://imap.example.com:pop3", false, "is not imaps://host"},
		{"imaps://imap.example.com:", false, "port after the colon"},
		{"imaps://imap example", false, "is not imaps://host"},
		{"imaps://imap\r\nexample", false, "is not imaps://host"},
		{"imaps://imap_.-.example", false, "is not a host name"},
		{"imaps://imap.example.com", true, "insecure: true has no meaning"},
	}
	for _, test := range tests {
		t.Run(test.url, func(t *testing.T) {
			got, err := dial.Parse(test.url, test.insecure)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("Parse = %+v, %v; want an error with %q", got, err, test.says)
			}
			if strings.Contains(err.Error(), "canary") || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error repeats a password or a line break: %q", err)
			}
		})
	}
}

func TestAddressBracketsIPv6(t *testing.T) {
	s := dial.Server{Scheme: "imaps", Host: "::1", Port: "993"}
	if s.Address() != "[::1]:993" || s.String() != "imaps://[::1]:993" {
		t.Errorf("Address %q, String %q", s.Address(), s.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("imaps://imap.example.com:993", false)
	f.Add("pop3://[::1]", true)
	f.Fuzz(func(t *testing.T, url string, insecure bool) {
		s, err := dial.Parse(url, insecure)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
				t.Errorf("control octet in %q", err)
			}
			return
		}
		again, err := dial.Parse(s.String(), insecure)
		if err != nil || again != s {
			t.Errorf("%+v prints as %q, which reads as %+v, %v", s, s.String(), again, err)
		}
	})
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain text", "plain text"},
		{"Grüße", "Grüße"},
		{"a\r\nb\x00\x1b[2J", `a\r\nb\x00\x1b[2J`},
		{"\xff", `\xff`},
		{"a\u202eb", `a\u202eb`},
		{strings.Repeat("x", 600), strings.Repeat("x", 512) + "…"},
		{strings.Repeat("\x00", 200), strings.Repeat(`\x00`, 128) + "…"},
	}
	for _, test := range tests {
		if got := dial.Printable(test.in); got != test.want {
			t.Errorf("Printable(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}
