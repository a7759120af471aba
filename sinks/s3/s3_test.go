package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/mailtest/s3d"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(url string) Options {
	return Options{Bucket: config.Bucket{Bucket: "mail", Endpoint: url, Region: s3d.Region, AccessKey: s3d.AccessKey, SecretKey: secret.New(s3d.SecretKey)}}
}

func makeSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New("bucket", o, payload.Renderer{}, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestABucketIsASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		server := s3d.Start(t, "mail")
		dead, wrong := options("http://127.0.0.1:1"), options(server.URL)
		wrong.SecretKey = secret.New("another-secret-key")
		s, err := New("bucket", options(server.URL), payload.Renderer{}, sinks.Env{})
		if err != nil {
			t.Fatal(err)
		}
		return sinktest.Fixture{
			Sink: s, Dead: makeSink(t, dead), Once: true,
			Stored: func(_ testing.TB, id string) (all [][]byte) {
				for key, o := range server.Objects() {
					if key == id+".json" {
						all = append(all, o.Body)
					}
				}
				return all
			},
			Refuse:  func(testing.TB) { server.Refuse(500) },
			Accept:  func(testing.TB) { server.Refuse(0) },
			Hang:    func(_ testing.TB, entered func()) { server.Hang(entered) },
			Restart: server.Restart,
			Large:   func(testing.TB) string { server.Refuse(413); return sinktest.Mail },
			Denied:  makeSink(t, wrong), CheckSignsIn: true,
			Secrets: []string{s3d.SecretKey, "another-secret-key"},
		}
	})
}

func TestAttachmentsAreObjectsUnderTheirKeysWithADescriptionBeside(t *testing.T) {
	server := s3d.Start(t, "mail")
	o := options(server.URL)
	o.Each, o.Key, o.Sidecar = "attachment", `{{ mailbox.name }}/{{ attachment.sha256 }}-{{ attachment.safeName }}`, true
	s := makeSink(t, o)
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	d.Part = d.Message.Attachments[0].PartID
	receipt, err := s.Deliver(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("%PDF-"))
	at := "support/" + hex.EncodeToString(sum[:]) + "-invoice.pdf"
	if want := []string{at, at + ".json"}; !slices.Equal(server.Puts(), want) || receipt.Detail != "200 "+strings.Join(want, ", ") {
		t.Errorf("%q, %s", server.Puts(), receipt.Detail)
	}
	object := server.Objects()[at]
	if string(object.Body) != "%PDF-" || object.ContentType != "application/pdf" {
		t.Errorf("%+v", object)
	}
	var event struct {
		ID   string
		Data struct {
			Message struct {
				Subject     string
				Attachments []struct{ PartID, Name string }
			}
		}
	}
	if err := json.Unmarshal(server.Objects()[at+".json"].Body, &event); err != nil || event.ID != d.ID || event.Data.Message.Subject != "Order 1042 is late" || len(event.Data.Message.Attachments) != 1 {
		t.Errorf("%+v, %v", event, err)
	}
	whole := sinktest.Delivery(t, 2, "Subject: none\r\n\r\nx")
	if receipt, err := s.Deliver(t.Context(), whole); err != nil || receipt.Detail != "no attachments" || len(server.Puts()) != 2 {
		t.Errorf("a mail without attachments: %+v, %v", receipt, err)
	}
}

func TestNoMailChoosesWhereItsObjectGoes(t *testing.T) {
	server := s3d.Start(t, "mail")
	o := options(server.URL)
	o.Key = `in/{{ message.subject }}/{{ id }}.json`
	s := makeSink(t, o)
	for subject, want := range map[string]string{
		"../../etc/passwd": "in/_._.._etc_passwd", "..": "in/_.", "a/b\\c": "in/a_b_c", ".htaccess": "in/_htaccess", "\u202egnp": "in/_gnp", "": "in/_",
	} {
		d := sinktest.Delivery(t, 1, "\r\nx")
		d.Message.Subject = &subject
		before := len(server.Puts())
		_, err := s.Deliver(t.Context(), d)
		puts := server.Puts()[before:]
		if err != nil || len(puts) != 1 || puts[0] != want+"/"+d.ID+".json" {
			t.Errorf("%q is put at %q, %v", subject, puts, err)
		}
	}
	o.Key = `in/{{ message.subject }}{{ message.subject }}/{{ id }}.json`
	long := makeSink(t, o)
	subject := strings.Repeat("x", 121)
	d := sinktest.Delivery(t, 1, "\r\nx")
	d.Message.Subject = &subject
	if _, err := long.Deliver(t.Context(), d); !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "truncateBytes") {
		t.Errorf("a key with a segment that is too long: %v", err)
	}
}

func TestWhoseFaultItIs(t *testing.T) {
	server := s3d.Start(t, "mail")
	for _, c := range []struct {
		name   string
		change func(*Options)
		refuse int
		fault  bool
		says   string
	}{
		{"another secret", func(o *Options) { o.SecretKey = secret.New("another-secret-1") }, 0, true, "SignatureDoesNotMatch"},
		{"another bucket", func(o *Options) { o.Bucket.Bucket = "post" }, 0, true, "make the bucket"},
		{"no permission", func(*Options) {}, 403, true, "AccessDenied"},
		{"a failure of the store", func(*Options) {}, 500, false, "InternalError"},
		{"a busy store", func(*Options) {}, 503, false, "503"},
	} {
		o := options(server.URL)
		c.change(&o)
		server.Refuse(c.refuse)
		_, err := makeSink(t, o).Deliver(context.Background(), sinktest.Delivery(t, 1, sinktest.Mail))
		if err == nil || sinks.IsSinkFault(err) != c.fault || sinks.IsPermanent(err) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "another-secret-1") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	raw, err := payload.NewRenderer("raw", payload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	each := options("https://s3.example.com")
	each.Each = "attachment"
	if _, err := New("b", each, raw, sinks.Env{}); err == nil || !strings.Contains(err.Error(), "take format out") {
		t.Errorf("a format of attachments: %v", err)
	}
	for _, c := range []struct {
		change func(*Options)
		says   string
	}{
		{func(o *Options) { o.Each = "mail" }, "message or attachment"},
		{func(o *Options) { o.Sidecar = true }, "sidecar needs each"},
		{func(o *Options) { o.Key = "fixed" }, "key has no hole"},
		{func(o *Options) { o.Key = "../{{ id }}" }, "is no key"},
		{func(o *Options) { o.Key = "{{ mesage.subject }}" }, "unknown name"},
		{func(o *Options) { o.Endpoint = "http://s3.example.com" }, "clear text"},
		{func(o *Options) { o.Endpoint, o.TLS.CAFile = "http://127.0.0.1:9000", "ca.pem" }, "it has no effect"},
		{func(o *Options) { o.Endpoint = "s3.example.com" }, "endpoint must be"},
	} {
		o := options("https://s3.example.com")
		c.change(&o)
		if _, err := New("b", o, payload.Renderer{}, sinks.Env{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v", err)
		}
	}
}

func TestASinkMadeForPreviewsConnectsToNothing(t *testing.T) {
	s := makeSink(t, options("http://127.0.0.1:1"))
	r, err := s.Preview(sinktest.Delivery(t, 1, sinktest.Mail))
	if err != nil || r.Method != "PUT" || r.URL != "s3://mail/"+sinktest.ID(1)+".json" || !reflect.DeepEqual(r.Header.Values("Content-Type"), []string{"application/json"}) {
		t.Errorf("%+v, %v", r, err)
	}
}
