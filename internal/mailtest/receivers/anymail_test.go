package receivers

import (
	"slices"
	"testing"

	"github.com/postferry/postferry/sinks/sinktest"
)

// python is the system's, which has what its packages bring along.
const python = "/usr/bin/python3"

// anymail is what Django with Anymail made of a mail.
type anymail struct {
	Subject, Text, HTML, Recipient string
	From, To                       []string
	Attachments                    []file
	Inline                         map[string]file
}

type file struct{ Name, Type, SHA256 string }

func TestAnymailTakesTheServicesFormats(t *testing.T) {
	r := start(t, python, "receive_anymail.py")
	for _, c := range []struct {
		path, settings string
		whole          bool // the mail is not sent in parts
	}{
		{"postmark/inbound/", "format: postmark", false},
		{"postmark/inbound/", "format: postmark, raw_email: true", false},
		{"mailgun/inbound/", "format: mailgun, signing_key: key-0123456789", false},
		{"mailgun/inbound_mime/", "format: mailgun, signing_key: key-0123456789, mime: true", true},
		{"sendgrid/inbound/", "format: sendgrid", false},
		{"sendgrid/inbound/", "format: sendgrid, raw: true", true},
	} {
		t.Run(c.settings, func(t *testing.T) {
			s := sink(t, "http://user:password@"+r.address+"/"+c.path, c.settings)
			deliver(t, s, letter(t))
			var m anymail
			r.read(t, &m)
			if !slices.Equal(m.From, []string{"ada@customer.example"}) || len(m.To) != 2 || m.To[0] != "support+vip@example.com" || m.Subject != letterSubject {
				t.Errorf("%+v", m)
			}
			if m.Text != letterText && m.Text != letterText+"\n" && !c.whole || m.HTML == "" {
				t.Errorf("the texts are %q, %q", m.Text, m.HTML)
			}
			if m.Recipient != "support+vip@example.com" {
				t.Errorf("the recipient is %q", m.Recipient)
			}
			if logo := m.Inline["logo@customer.example"]; logo.SHA256 != logoSHA256 || logo.Type != "image/png" {
				t.Errorf("the image is %+v", m.Inline)
			}
			// Of a whole mail it takes for a file only what says it is one.
			if n := len(m.Attachments); n == 0 || m.Attachments[0] != (file{"Grüße.txt", "text/plain", greetSHA256}) || !c.whole && (n != 2 || m.Attachments[1].SHA256 != pdfSHA256) {
				t.Errorf("the files are %+v", m.Attachments)
			}
			for i, raw := range hostile() {
				if deliver(t, s, sinktest.Delivery(t, i, raw)) {
					r.read(t, &anymail{})
				}
			}
			if c.whole {
				deliver(t, s, sinktest.Delivery(t, 1, latin))
				m = anymail{}
				r.read(t, &m)
				if m.Text != "café" || len(m.Attachments) != 1 || m.Attachments[0].SHA256 != latinSHA256 {
					t.Errorf("of a mail with other octets it has %+v", m)
				}
			}
		})
	}
}

func TestAnymailRefusesAnotherKey(t *testing.T) {
	r := start(t, python, "receive_anymail.py")
	s := sink(t, "http://user:password@"+r.address+"/mailgun/inbound/", "format: mailgun, signing_key: another")
	if _, err := s.Deliver(t.Context(), letter(t)); err == nil {
		t.Error("it took a wrong signature")
	}
}
