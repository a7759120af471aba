package receivers

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	mailgun "github.com/mailgun/mailgun-go/v5"
	mailgunmtypes "github.com/mailgun/mailgun-go/v5/mtypes"
	"github.com/sendgrid/sendgrid-go/helpers/inbound"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

// raw is the mail of a delivery.
func raw(t *testing.T, d *sinks.Delivery) string {
	t.Helper()
	all, err := io.ReadAll(d.Octets.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// serve gives each request to a library, whose error is a 500.
func serve(t *testing.T, take func(*http.Request) error) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := take(r); err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestTheCloudEventsSDKTakesBothModes(t *testing.T) {
	for _, mode := range []string{"structured", "binary"} {
		var event *cloudevents.Event
		url := serve(t, func(r *http.Request) (err error) {
			event, err = cloudevents.NewEventFromHTTPRequest(r)
			if err == nil {
				err = event.Validate()
			}
			return err
		})
		s := sink(t, url, "format: cloudevents, mode: "+mode)
		deliver(t, s, letter(t))
		if event.ID() != sinktest.ID(1) || event.Type() != "message.received" || event.Source() != "/mailboxes/support" || event.DataContentType() != "application/json" ||
			event.Time().UTC().Format("15:04:05") != "12:00:01" {
			t.Errorf("%s: %v", mode, event)
		}
		var data struct{ Message struct{ Subject string } }
		if err := json.Unmarshal(event.Data(), &data); err != nil || data.Message.Subject != letterSubject {
			t.Errorf("%s: %v, %+v", mode, err, data)
		}
		for i, raw := range hostile() {
			deliver(t, s, sinktest.Delivery(t, i, raw))
		}
	}
}

func TestSendGridsOwnParserTakesBothForms(t *testing.T) {
	var got *inbound.ParsedEmail
	url := serve(t, func(r *http.Request) (err error) { got, err = inbound.ParseWithAttachments(r); return err })
	s := sink(t, url, "format: sendgrid")
	deliver(t, s, letter(t))
	if got.TextBody != letterText || got.Headers["Subject"] == "" || got.Envelope.From != "bounce+17@customer.example" || len(got.Envelope.To) != 1 || len(got.ParsedAttachments) != 3 {
		t.Errorf("%+v", got)
	}
	for i, raw := range hostile() {
		deliver(t, s, sinktest.Delivery(t, i, raw))
	}
	// Of a whole mail it reads two levels of parts.
	deliver(t, sink(t, url, "format: sendgrid, raw: true"), sinktest.Delivery(t, 1, sinktest.Mail))
	if got.Headers["Message-ID"] != "<caf3.91@mail.example>" || string(got.Attachments["invoice.pdf"]) != "JVBERi0=" || got.Headers["Subject"] != "Order 1042 is late" {
		t.Errorf("raw: %+v", got)
	}
}

func TestMailgunsOwnLibraryVerifiesTheSignature(t *testing.T) {
	client := mailgun.NewMailgun("api-key")
	client.SetWebhookSigningKey("key-0123456789")
	for _, settings := range []string{"format: mailgun, signing_key: key-0123456789", "format: mailgun, mime: true, signing_key: key-0123456789"} {
		url := serve(t, func(r *http.Request) error {
			if err := r.ParseMultipartForm(32 << 20); err != nil && err != http.ErrNotMultipart {
				return err
			}
			ok, err := client.VerifyWebhookSignature(mailgunmtypes.Signature{TimeStamp: r.FormValue("timestamp"), Token: r.FormValue("token"), Signature: r.FormValue("signature")})
			if err == nil && !ok {
				t.Errorf("%s: the signature does not fit", settings)
			}
			return err
		})
		deliver(t, sink(t, url, settings), letter(t))
	}
}
