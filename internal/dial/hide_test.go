package dial_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
)

func TestHiderFindsASecretInEveryForm(t *testing.T) {
	const s = `hün"ter2 pass`
	std, raw := base64.StdEncoding.EncodeToString, []byte(s)
	for _, c := range []struct {
		fact, text string
		holds      bool
	}{
		{"as it is", "no such password: " + s, true},
		{"in capitals", strings.ToUpper(s), true},
		{"quoted", `LOGIN ada "hün\"ter2 pass"`, true},
		{"escaped", `h\u00fcn\"ter2 pass`, true},
		{"percent-encoded", "p=" + url.QueryEscape(s), true},
		{"percent-encoded as a path", url.PathEscape(s), true},
		{"percent-encoded more than needed", "%68%C3%BCn%22ter2%20pass", true},
		{"in hexadecimal", hex.EncodeToString(raw), true},
		{"in base64", "* OK " + std(raw) + " heard", true},
		{"in base64 without padding", base64.RawURLEncoding.EncodeToString(raw), true},
		{"in base64, first of three", std(append([]byte("abc"), s+"xyz"...)), true},
		{"in base64, second of three", std(append([]byte("a"), s+"xyz"...)), true},
		{"in base64, third of three", std(append([]byte("ab"), s+"xyz"...)), true},
		{"in SASL PLAIN", "+ " + std([]byte("\x00ada\x00"+s)), true},
		{"not at all", "A1 NO [AUTHENTICATIONFAILED] Authentication failed.", false},
		{"a part of it", "ter2", false},
		{"other base64", "+ VXNlcm5hbWU6 UGFzc3dvcmQ6", false},
	} {
		t.Run(c.fact, func(t *testing.T) {
			h := dial.NewHider(secret.New(""), secret.New(s))
			if h.Holds(c.text) != c.holds {
				t.Errorf("Holds(%q) = %v", c.text, !c.holds)
			}
			if got := h.Clean(c.text); h.Holds(got) || !c.holds && got != c.text {
				t.Errorf("Clean(%q) = %q", c.text, got)
			}
		})
	}
	if got := dial.NewHider(secret.New("abc")).Clean("1 ABC 2 abc"); got != "1 "+secret.Masked+" 2 "+secret.Masked {
		t.Errorf("masked as %q", got)
	}
	if h := dial.NewHider(secret.New("")); h.Holds("anything") || h.Clean("anything") != "anything" {
		t.Error("an empty secret is found")
	}
}

func TestHiderFindsAShortSecretWhereItStandsAsAWord(t *testing.T) {
	std := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		secret, fact, text string
		holds              bool
	}{
		{"a", "alone", "A1 NO not a", true},
		{"a", "in capitals, quoted", `LOGIN ada "A"`, true},
		{"a", "after a colon", "ada:a", true},
		{"a", "in SASL PLAIN", "+ " + std([]byte("\x00ada\x00a")), true},
		{"a", "in base64", "+ " + std([]byte("a")), true},
		{"a", "in hexadecimal", "heard 61", true},
		{"a", "percent-encoded", "p=%61", true},
		{"a", "in every word", "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN UIDPLUS", false},
		{"a", "in the words of a greeting", "+OK Dovecot ready.", false},
		{"a", "in words of the protocol that are base64 too", "* CAPABILITY SORT=DISPLAY THREAD=REFS CATENATE", false},
		{"été", "beside letters that are not ASCII", "étété tété été", true},
		{"été", "in a word that is not ASCII", "étété tété", false},
		{"*", "before every answer", "* OK ready", true},
		{"four", "in a word, being long enough", "fourteen", true},
	} {
		t.Run(c.secret+" "+c.fact, func(t *testing.T) {
			h := dial.NewHider(secret.New(c.secret))
			if h.Holds(c.text) != c.holds {
				t.Errorf("Holds(%q) = %v", c.text, !c.holds)
			}
			if got := h.Clean(c.text); h.Holds(got) && got != dial.Hidden || !c.holds && got != c.text {
				t.Errorf("Clean(%q) = %q", c.text, got)
			}
		})
	}
	if got, want := dial.NewHider(secret.New("a")).Clean("not A; a bad day"), "not "+secret.Masked+"; "+secret.Masked+" bad day"; got != want {
		t.Errorf("masked as %q, want %q", got, want)
	}
}

func FuzzHiderLeavesNoSecret(f *testing.F) {
	f.Add("hunter2", "wrong: ", " or not")
	f.Add("ß", "%", "==")
	f.Add("a", "", "")
	f.Add("a", "banana", "a")
	f.Add("\x00", "", "")
	f.Add("İ", "i̇", "K")
	f.Fuzz(func(t *testing.T, s, before, after string) {
		if s == "" {
			return
		}
		h := dial.NewHider(secret.New(s))
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte("\x00u\x00" + s)), url.QueryEscape(s)} {
			text := before + " " + form + " " + after
			if !h.Holds(text) {
				t.Fatalf("%q is not found in %q", s, text)
			}
			if got := h.Clean(text); h.Holds(got) && got != dial.Hidden {
				t.Fatalf("Clean(%q) = %q", text, got)
			}
		}
	})
}
