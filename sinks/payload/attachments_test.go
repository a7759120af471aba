package payload

import (
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

// two is a mail with a PDF that says it is a picture, and a picture by its name.
const two = "Subject: two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=\"../Invoice 7.PDF\"\r\n\r\n%PDF-1.7\r\n%%EOF\r\n" +
	"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=logo.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgoAAAANSUhEUg==\r\n--b--\r\n"

type told struct {
	PartID                          string
	Name                            string
	Encoding, Content, URL, Omitted *string
}

func attachedIn(t testing.TB, event string) []told {
	t.Helper()
	var e struct {
		Data struct{ Message struct{ Attachments []told } }
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		t.Fatalf("%v: %s", err, event)
	}
	return e.Data.Message.Attachments
}

func TestAnEventAsAFormHasItsAttachmentsAsFiles(t *testing.T) {
	r, err := NewRenderer("native", Options{Attachments: Multipart})
	if err != nil {
		t.Fatal(err)
	}
	if r.IsJSON() || r.ContentType() != "multipart/form-data" {
		t.Errorf("it is %s", r.ContentType())
	}
	body, contentType := rendered(t, r, sinktest.Delivery(t, 1, two))
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
	event, err := parts.NextPart()
	if err != nil || event.FormName() != "event" || event.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v, %v", event, err)
	}
	text, err := io.ReadAll(event)
	if err != nil {
		t.Fatal(err)
	}
	list := attachedIn(t, string(text))
	for _, a := range list {
		if *a.Encoding != "multipart" || a.URL != nil || a.Omitted != nil {
			t.Errorf("%+v", a)
		}
		file, err := parts.NextPart()
		if err != nil || file.FormName() != *a.Content || file.FileName() == "" {
			t.Fatalf("%s: %v, %v", *a.Content, file, err)
		}
		if octets, err := io.ReadAll(file); err != nil || len(octets) == 0 {
			t.Errorf("%d octets, %v", len(octets), err)
		}
	}
	if _, err := parts.NextPart(); len(list) != 2 || err != io.EOF {
		t.Errorf("%d attachments, %v", len(list), err)
	}
	for _, format := range []string{"raw", "cloudevents", "postmark"} {
		if _, err := NewRenderer(format, Options{Attachments: Multipart}); err == nil {
			t.Errorf("%s is a form", format)
		}
	}
}

func TestAFilterLooksAtWhatOctetsAreAndNotAtTheirLabel(t *testing.T) {
	d := sinktest.Delivery(t, 1, two)
	pdf, png := &d.Message.Attachments[0], &d.Message.Attachments[1]
	for _, c := range []struct {
		name     string
		f        *Filter
		pdf, png bool
	}{
		{"none", nil, true, true},
		{"one that asks for nothing", &Filter{}, true, true},
		{"a type", &Filter{Types: []string{"application/pdf"}}, true, false},
		{"a family of types", &Filter{Types: []string{"image/*"}}, false, true},
		{"several types", &Filter{Types: []string{"image/*", "application/pdf"}}, true, true},
		{"a name", &Filter{Names: []string{"*invoice*.pdf"}}, true, false},
		{"a size", &Filter{Min: 16}, false, true},
		{"a larger size", &Filter{Max: 15}, true, false},
		{"a type and a name", &Filter{Types: []string{"application/pdf"}, Names: []string{"*.png"}}, false, false},
	} {
		if got := [2]bool{c.f.Takes(pdf), c.f.Takes(png)}; got != [2]bool{c.pdf, c.png} {
			t.Errorf("%s takes %v (%d and %d octets)", c.name, got, pdf.Size, png.Size)
		}
	}
	for _, f := range []Filter{{Types: []string{"pdf"}}, {Types: []string{"IMAGE/PNG"}}, {Types: []string{"image/["}}, {Names: []string{"["}}, {Names: []string{""}}} {
		if f.CheckFilter() == nil {
			t.Errorf("%+v is a filter", f)
		}
	}
	r := Renderer{Options: Options{Only: &Filter{Types: []string{"image/*"}}}}
	body, _ := rendered(t, r, d)
	list := attachedIn(t, body)
	if len(list) != 2 || list[0].Content != nil || list[0].Omitted == nil || !strings.Contains(*list[0].Omitted, "attachments_only") || list[1].Content == nil {
		t.Errorf("%+v", list)
	}
}

func TestStoredAttachmentsAreWhereTheEventSays(t *testing.T) {
	dir := t.TempDir()
	store, err := blob.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := CompileKey("{{ mailbox.name }}/{{ attachment.name }}-{{ attachment.sha256 }}")
	if err != nil {
		t.Fatal(err)
	}
	d := sinktest.Delivery(t, 1, two)
	sum := d.Message.Attachments[0].SHA256
	for _, c := range []struct {
		name string
		s    Stored
		url  string
		file string
	}{
		{"by content", Stored{Store: store}, "file://" + dir + "/" + sum[:2] + "/" + sum, sum[:2] + "/" + sum},
		{"by a key behind a base", Stored{Store: store, Key: key, Base: "https://files.example.com/mail/"}, "https://files.example.com/mail/support/_._Invoice%207.PDF-" + sum, "support/_._Invoice 7.PDF-" + sum},
	} {
		if err := c.s.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		r := Renderer{Options: Options{Attachments: Store, Link: c.s.Link}}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		body, _ := rendered(t, r, d)
		a := attachedIn(t, body)[0]
		if a.URL == nil || *a.URL != c.url || a.Content != nil || a.Omitted != nil {
			t.Errorf("%s: the event has %+v", c.name, a)
		}
		if octets, err := os.ReadFile(filepath.Join(dir, c.file)); err != nil || string(octets) != "%PDF-1.7\r\n%%EOF" {
			t.Errorf("%s: %q, %v", c.name, octets, err)
		}
	}
	if _, err := NewRenderer("native", Options{Attachments: Store}); err == nil || !strings.Contains(err.Error(), "attachments_to") {
		t.Errorf("a store that is nowhere: %v", err)
	}
}

func TestALinkIsWhereAnAttachmentIsNotInTheBody(t *testing.T) {
	d := sinktest.Delivery(t, 1, two)
	link := func(d *sinks.Delivery, a *parser.Attachment) string {
		return "https://mail.example.com/" + d.ID + "/" + a.PartID
	}
	body, _ := rendered(t, Renderer{Options: Options{InlineLimit: 15, Link: link}}, d)
	list := attachedIn(t, body)
	if list[0].Content == nil || list[0].URL != nil || list[1].URL == nil || *list[1].URL != "https://mail.example.com/msg_test0001/2" || list[1].Omitted != nil {
		t.Errorf("%+v", list)
	}
	f := &template{Body: []any{"{{ map(message.attachments, link(.partId)) }}", `{{ link("9") }}`}, As: asJSON}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	if got, _ := rendered(t, Renderer{Format: f, Options: Options{Link: link}}, d); got != `[["https://mail.example.com/msg_test0001/1","https://mail.example.com/msg_test0001/2"],""]` {
		t.Errorf("%s", got)
	}
}
