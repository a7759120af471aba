package receivers

import (
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/sinks/sinktest"
)

// mailbox is what a mailbox of Action Mailbox made of a mail.
type mailbox struct {
	From, Subject, Text string
	Recipients          []string
	Attachments         []file
}

func TestActionMailboxTakesTheFormatsOfItsIngresses(t *testing.T) {
	for _, c := range []struct{ path, settings string }{
		{"relay/inbound_emails", "format: rails"},
		{"postmark/inbound_emails", "format: postmark, raw_email: true"},
		{"mailgun/inbound_emails/mime", "format: mailgun, mime: true, signing_key: key-0123456789"},
		{"sendgrid/inbound_emails", "format: sendgrid, raw: true"},
	} {
		t.Run(c.settings, func(t *testing.T) {
			r := start(t, "ruby", "receive_mail.rb")
			s := sink(t, "http://actionmailbox:password@"+r.address+"/rails/action_mailbox/"+c.path, c.settings)
			deliver(t, s, letter(t))
			var m mailbox
			r.read(t, &m)
			if m.From != "ada@customer.example" || m.Subject != letterSubject || strings.TrimSpace(strings.ReplaceAll(m.Text, "\r", "")) != letterText {
				t.Errorf("%+v", m)
			}
			// It takes for a file only what says it is one.
			if len(m.Attachments) != 2 || m.Attachments[0] != (file{"logo.png", "image/png", logoSHA256}) || m.Attachments[1].SHA256 != greetSHA256 {
				t.Errorf("the files are %+v", m.Attachments)
			}
			deliver(t, s, sinktest.Delivery(t, 1, latin))
			m = mailbox{}
			r.read(t, &m)
			if strings.TrimSpace(m.Text) != "café" || len(m.Attachments) != 1 || m.Attachments[0].SHA256 != latinSHA256 {
				t.Errorf("of a mail with other octets it has %+v", m)
			}
			for i, raw := range hostile() {
				if strings.TrimSpace(raw) == "" {
					continue // Rails wants a mail
				}
				deliver(t, s, sinktest.Delivery(t, i, raw))
			}
		})
	}
}

// A hidden recipient is told by X-Original-To, which the relay ingress does not add.
func TestActionMailboxSeesAHiddenRecipient(t *testing.T) {
	r := start(t, "ruby", "receive_mail.rb")
	s := sink(t, "http://actionmailbox:password@"+r.address+"/rails/action_mailbox/relay/inbound_emails", "format: rails")
	deliver(t, s, sinktest.Delivery(t, 1, "Delivered-To: hidden@example.com\r\nTo: list@example.com\r\nMessage-ID: <h@example.com>\r\nSubject: s\r\n\r\nt"))
	var m mailbox
	r.read(t, &m)
	if !slices.Contains(m.Recipients, "hidden@example.com") {
		t.Errorf("the recipients are %v", m.Recipients)
	}
}
