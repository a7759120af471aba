package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

// tree is a template's body as the configuration gives it.
func tree(t testing.TB, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func templateOf(t testing.TB, as string, body any) Renderer {
	t.Helper()
	f := &template{Body: body, As: as}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	return Renderer{Format: f}
}

func rendered(t testing.TB, r Renderer, d *sinks.Delivery) (body, contentType string) {
	t.Helper()
	b, err := r.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	all, err := b.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != b.Size() {
		t.Errorf("%d octets of a body of %d", len(all), b.Size())
	}
	return string(all), b.ContentType
}

const hostileSubject = `Subject: "}], "admin": true, {"x": "` + "\r\n"

func TestAMailCannotBreakATemplate(t *testing.T) {
	r := templateOf(t, asJSON, tree(t, `{"title": "{{ message.subject }}", "text": "Subject: {{ message.subject }}!", "list": ["{{ message.subject }}"]}`))
	for _, subject := range []string{
		`"}], "admin": true, {"x": "`, `{{ message.size }}`, "tab\there", `\`, `\u0022`, "a\u2028b", `</script>`, "null", "{{", "}}",
	} {
		got, _ := rendered(t, r, sinktest.Delivery(t, 1, "Subject: "+subject+"\r\n\r\nx"))
		var v map[string]any
		if err := json.Unmarshal([]byte(got), &v); err != nil {
			t.Errorf("%q: %v in %s", subject, err, got)
			continue
		}
		subject = strings.ReplaceAll(subject, "\t", " ")
		if want := map[string]any{"title": subject, "text": "Subject: " + subject + "!", "list": []any{subject}}; !reflect.DeepEqual(v, want) {
			t.Errorf("%q gives %v", subject, v)
		}
	}
}

func TestAHoleThatIsTheWholeTextKeepsItsType(t *testing.T) {
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	for hole, want := range map[string]string{
		`{{ message.subject }}`:                       `"Order 1042 is late"`,
		` {{ message.subject }} `:                     `"Order 1042 is late"`,
		`{{ message.size > 100 }}`:                    `true`,
		`{{ len(message.attachments) }}`:              `1`,
		`{{ message.replyTo }}`:                       `null`,
		`{{ message.inReplyTo }}`:                     `null`,
		`{{ message.bounce }}`:                        `null`,
		`{{ message.cc ?? message.to }}`:              `[{"name":null,"email":"support@example.com"}]`,
		`{{ message.from[0].name }}`:                  `"Ada Byron"`,
		`{{ message.from[7].name }}`:                  `null`,
		`{{ message.from }}`:                          `[{"name":"Ada Byron","email":"ada@customer.example"}]`,
		`{{ map(message.to, .email) }}`:               `["support@example.com"]`,
		`{{ message.receivedAt }}`:                    `"2026-11-23T11:59:43Z"`,
		`{{ timestamp }}`:                             `"2026-11-23T12:00:01Z"`,
		`{{ id }}`:                                    `"msg_test0001"`,
		`{{ mailbox.name }}`:                          `"support"`,
		`{{ mailbox.uid }}`:                           `2`,
		`{{ unix(timestamp) }}`:                       `1795435201`,
		`{{ unix(message.sentAt) }}`:                  `0`,
		`{{ 1.5 }}`:                                   `1.5`,
		`{{ message.messageId }}`:                     `["caf3.91@mail.example"]`,
		`size {{ len(message.attachments) }}`:         `"size 1"`,
		`{{ message.to }} and {{ message.from }}`:     `"support@example.com and Ada Byron <ada@customer.example>"`,
		`{{ message.replyTo }}!`:                      `"!"`,
		`at {{ message.receivedAt }}`:                 `"at 2026-11-23T11:59:43Z"`,
		`{{ map(message.to, .email) }} !`:             `"support@example.com !"`,
		`{{ message.subject == "}}" ? "a" : "b}}" }}`: `"b}}"`,
		`{{ "{{" }} and }}`:                           `"{{ and }}"`,
		`{{ from() }}`:                                `"ada@customer.example"`,
		`{{ header("message-id") }}`:                  `"<caf3.91@mail.example>"`,
	} {
		got, _ := rendered(t, templateOf(t, asJSON, []any{hole}), d)
		if got != "["+want+"]" {
			t.Errorf("%s gives %s, not %s", hole, got, want)
		}
	}
}

func TestTheWholeMessageInAHoleIsThatOfTheNativeEvent(t *testing.T) {
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	got, _ := rendered(t, templateOf(t, asJSON, `{{ message }}`), d)
	b, err := Message(d.Message, Options{Attachments: Metadata})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if want, _ := b.ReadAll(); got != string(want) {
		t.Errorf("%s\ninstead of\n%s", got, want)
	}
}

func TestWhatIsNoHoleStaysAsItIs(t *testing.T) {
	const body = `{"n":1.5,"i":3,"t":true,"z":null,"l":[1,"a"],"o":{"a":{}},"s":"$x } {"}`
	v := tree(t, body).(map[string]any)
	v["i"] = 3
	v["l"] = []any{1, "a"}
	got, contentType := rendered(t, templateOf(t, asJSON, v), sinktest.Delivery(t, 1, sinktest.Mail))
	if want := `{"i":3,"l":[1,"a"],"n":1.5,"o":{"a":{}},"s":"$x } {","t":true,"z":null}`; got != want || contentType != "application/json" {
		t.Errorf("%s, %s", got, contentType)
	}
}

func TestATreeMayBeGivenAsAText(t *testing.T) {
	got, _ := rendered(t, templateOf(t, asJSON, `{"text": "{{ message.subject }}"}`), sinktest.Delivery(t, 1, hostileSubject+"\r\nx"))
	if want := `{"text":"\"}], \"admin\": true, {\"x\": \""}`; got != want {
		t.Errorf("%s", got)
	}
}

func TestEachAttachmentHasItsPlaceInATemplate(t *testing.T) {
	body := tree(t, `{"files": {"$each": "attachments", "$item": {"name": "{{ attachment.safeName }}", "data": "{{ attachment.content }}", "mime-type": "{{ attachment.type }}"}}}`)
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	for mode, want := range map[Attachments]string{
		Auto:     `{"files":[{"data":"JVBERi0=","mime-type":"application/pdf","name":"invoice.pdf"}]}`,
		Metadata: `{"files":[{"data":null,"mime-type":"application/pdf","name":"invoice.pdf"}]}`,
		None:     `{"files":[]}`,
	} {
		r := templateOf(t, asJSON, body)
		r.Options.Attachments = mode
		if got, _ := rendered(t, r, d); got != want {
			t.Errorf("%s: %s", mode, got)
		}
	}
}

// A large attachment is read while the body is sent.
func TestALargeAttachmentInATemplateIsNotHeldInMemory(t *testing.T) {
	r := templateOf(t, asMultipart, tree(t, `{"file": {"$each": "attachments", "$item": "{{ attachment.content }}"}}`))
	r.Options.Attachments = Inline
	b, err := r.Render(sinktest.Delivery(t, 1, withAttachments(3<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if _, all := b.Bytes(); all {
		t.Error("it is in memory")
	}
	if n, err := b.WriteTo(io.Discard); err != nil || n != b.Size() {
		t.Errorf("%d of %d octets, %v", n, b.Size(), err)
	}
}

func TestAFormIsReadAsItWasMeant(t *testing.T) {
	r := templateOf(t, asForm, tree(t, `{"subject": "{{ message.subject }}", "tags": ["a", "{{ mailbox.name }}"], "user": {"name": "{{ message.from[0].name }}", "vip": true}, "none": null, "n": "{{ 3 }}"}`))
	got, contentType := rendered(t, r, sinktest.Delivery(t, 1, "From: A & B =? <a@x.example>\r\nSubject: a&b=c+d%20\xc3\xa9\r\n\r\nx"))
	values, err := url.ParseQuery(got)
	if err != nil || contentType != "application/x-www-form-urlencoded" {
		t.Fatal(err, contentType)
	}
	want := url.Values{"subject": {"a&b=c+d%20é"}, "tags": {"a", "support"}, "user[name]": {"A & B =?"}, "user[vip]": {"true"}, "n": {"3"}}
	if !reflect.DeepEqual(values, want) {
		t.Errorf("%v", values)
	}
}

func TestAMultipartFormIsReadAsItWasMeant(t *testing.T) {
	r := templateOf(t, asMultipart, tree(t, `{"subject": "{{ message.subject }}", "attachments[]": {"$each": "attachments", "$item": "{{ attachment.content }}"}}`))
	mail := strings.Replace(sinktest.Mail, "filename=invoice.pdf", `filename*=utf-8''Gr%C3%BC%C3%9Fe%22%0D%0AX-Injected:%20yes.pdf`, 1)
	d := sinktest.Delivery(t, 1, mail)
	body, contentType := rendered(t, r, d)
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	form, err := multipart.NewReader(strings.NewReader(body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if got := form.Value["subject"]; len(got) != 1 || got[0] != "Order 1042 is late" {
		t.Errorf("subject is %q", got)
	}
	files := form.File["attachments[]"]
	if len(files) != 1 || files[0].Filename != d.Message.Attachments[0].SafeName || files[0].Header.Get("Content-Type") != "application/pdf" || len(files[0].Header) != 2 {
		t.Fatalf("%+v", files)
	}
	f, err := files[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "%PDF-" {
		t.Errorf("%q, %v", got, err)
	}
	if again, _ := rendered(t, r, d); again != body {
		t.Error("the second attempt differs")
	}
}

func TestATextIsSentAsItStands(t *testing.T) {
	f := &template{Body: "New mail: {{ message.subject }}\n", As: asText, Media: "text/markdown; charset=utf-8"}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	got, contentType := rendered(t, Renderer{Format: f}, sinktest.Delivery(t, 1, sinktest.Mail))
	if got != "New mail: Order 1042 is late\n" || contentType != "text/markdown; charset=utf-8" {
		t.Errorf("%q, %s", got, contentType)
	}
}

func TestAMailATemplateCannotBeFilledWithIsADeadLetterWithTheReason(t *testing.T) {
	for body, want := range map[string]string{
		`{"at": "{{ date(message.subject) }}"}`:                               "body.at: ",
		`{"a": ["x", "n {{ id }} {{ 1 % (len(message.attachments) - 1) }}"]}`: "body.a[1]: hole 2: ",
		`{"file": "{{ attachment.content }}"}`:                                "body.file: no attachment is at hand",
		`{"n": "{{ 1 / (len(message.attachments) - 1) }}"}`:                   "infinite",
	} {
		_, err := templateOf(t, asJSON, tree(t, body)).Render(sinktest.Delivery(t, 1, sinktest.Mail))
		if err == nil || !sinks.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestMistakesInATemplateAreFoundWhenItIsLoaded(t *testing.T) {
	for _, c := range []struct{ as, body, want string }{
		{asJSON, `{"text": "{{ message.subjct }}"}`, `body.text: {{ message.subjct }}: "subjct" is not a field here; did you mean "subject"?`},
		{asJSON, `{"blocks": [{"text": "{{ mesage.subject }}"}]}`, `body.blocks[0].text: {{ mesage.subject }}: unknown name "mesage"; did you mean "message"?`},
		{asJSON, `{"text": "{{ truncat(id, 3) }}"}`, `did you mean "truncate"?`},
		{asJSON, `{"text": "{{ truncate(id) }}"}`, "not enough arguments"},
		{asJSON, `{"text": "{{ truncate(id, \"3\") }}"}`, "cannot use"},
		{asJSON, `{"text": "a {{ id"}`, `has no "}}"`},
		{asJSON, `{"text": "{{ }}"}`, "the expression is empty"},
		{asJSON, `{"{{ id }}": 1}`, "holes stand in values"},
		{asJSON, `{"a": {"$each": "messages", "$item": 1}}`, "$each: attachments"},
		{asJSON, `{"a": {"$each": "attachments", "$item": 1, "b": 2}}`, "nothing beside them"},
		{asJSON, `"{broken json}"`, "body is a text that is no JSON"},
		{asJSON, `{"t": "{{ formatDate(message.sentAt, \"YYYY\", \"UTC\") }}"}`, "formatDate wants how to write 2 January 2006"},
		{asJSON, `{"t": "{{ formatDate(message.sentAt, \"date\", \"Berlin\") }}"}`, "knows no zone"},
		{asJSON, `{"t": "{{ capture(id, \"(\") }}"}`, "not a regular expression"},
		{asJSON, `{"t": "{{ capture(id, id) }}"}`, "as a literal"},
		{asForm, `["a"]`, "a form is an object"},
		{asForm, `{"a": "{{ attachment.content }}"}`, "set as: multipart"},
		{asText, `{"a": 1}`, "it is one text"},
	} {
		f := &template{Body: tree(t, c.body), As: c.as}
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.body, err)
		}
	}
	if err := (&template{Body: "x", As: asText, Media: "text/plain\r\nX: y"}).Validate(); err == nil {
		t.Error("a media type with a line end is taken")
	}
}

// Whatever a mail says, a template's body is JSON with the same shape, and the
// form and the multipart form have the same fields.
func FuzzTemplate(f *testing.F) {
	for i, mail := range append(sinktest.Hostile()[:9], sinktest.Mail) {
		f.Add(i, mail)
	}
	const body = `{"a": "{{ message.subject }}", "b": ["x {{ message.text }} {{ message.from }}"], "c": {"$each": "attachments", "$item": {"n": "{{ attachment.name }}", "d": "{{ attachment.content }}"}}}`
	const fields = `{"a": "{{ message.subject }}", "b": "{{ message.text }}{{ message.from }}"}`
	asTree := templateOf(f, asJSON, tree(f, body))
	form, parts := templateOf(f, asForm, tree(f, fields)), templateOf(f, asMultipart, tree(f, fields))
	f.Fuzz(func(t *testing.T, n int, mail string) {
		d := sinktest.Delivery(t, n, mail)
		text, _ := rendered(t, asTree, d)
		var v struct {
			A *string
			B []string
			C []struct{ N, D *string }
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil || len(v.B) != 1 || len(v.C) != len(d.Message.Attachments) || dec.More() {
			t.Fatalf("%v: %s", err, text)
		}
		for _, c := range v.C {
			if c.D != nil {
				if _, err := base64.StdEncoding.DecodeString(*c.D); err != nil {
					t.Fatal(err)
				}
			}
		}
		text, _ = rendered(t, form, d)
		if values, err := url.ParseQuery(text); err != nil || len(values) != 2 {
			t.Fatalf("%v: %s", err, text)
		}
		text, contentType := rendered(t, parts, d)
		_, params, err := mime.ParseMediaType(contentType)
		if err != nil {
			t.Fatal(err)
		}
		read, err := multipart.NewReader(bytes.NewReader([]byte(text)), params["boundary"]).ReadForm(64 << 20)
		if err != nil || len(read.Value) != 2 || len(read.File) != 0 {
			t.Fatalf("%v: %s", err, text)
		}
	})
}
