package payload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestPostmarkFieldByField(t *testing.T) {
	got, b := body(t, letter(t), &postmark{}, Options{})
	if want := golden(t, "postmark.json"); got != want {
		t.Errorf("the body is\n%s\nnot\n%s", got, want)
	}
	if b.ContentType != "application/json" {
		t.Errorf("it is sent as %s", b.ContentType)
	}
}

func TestPostmarkOfABareMailIsEmptyStrings(t *testing.T) {
	d := sinktest.Delivery(t, 1, "")
	got, _ := body(t, d, &postmark{}, Options{})
	want := compact(t, `{"FromName":"","MessageStream":"inbound","From":"",
		"To":"","ToFull":[],"Cc":"","CcFull":[],"Bcc":"","BccFull":[],"OriginalRecipient":"","Subject":"",
		"MessageID":"`+uuidOf(d.ID)+`","ReplyTo":"","MailboxHash":"","Date":"","TextBody":"","HtmlBody":"","StrippedTextReply":"",
		"Tag":"","Headers":[],"Attachments":[]}`)
	if got != want {
		t.Errorf("the body is\n%s\nnot\n%s", got, want)
	}
}

func TestPostmarkShowsAHiddenRecipientAsBcc(t *testing.T) {
	var p struct {
		Bcc, OriginalRecipient, MailboxHash string
		BccFull                             []struct{ Email, MailboxHash string }
	}
	text, _ := body(t, sinktest.Delivery(t, 1, "Delivered-To: hidden+7@example.com\r\nTo: list@example.com\r\n\r\n"), &postmark{}, Options{})
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if p.Bcc != "hidden+7@example.com" || p.OriginalRecipient != p.Bcc || p.MailboxHash != "7" || len(p.BccFull) != 1 || p.BccFull[0].MailboxHash != "7" {
		t.Errorf("%+v", p)
	}
}

// Receivers that read an address in FromFull or ToFull fail where there is none.
func TestPostmarkNamesOnlyAddressesInFull(t *testing.T) {
	text, _ := body(t, sinktest.Delivery(t, 1, "From: nobody\r\nTo: someone else, a@example.com\r\n\r\n"), &postmark{}, Options{})
	var p struct {
		From, To string
		FromFull *struct{}
		ToFull   []struct{ Email string }
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if p.From != "nobody" || p.To != "someone else, a@example.com" || p.FromFull != nil || len(p.ToFull) != 1 || p.ToFull[0].Email != "a@example.com" {
		t.Errorf("%+v", p)
	}
}

func TestPostmarkHasTheMailWhenAskedTo(t *testing.T) {
	for _, raw := range []string{sinktest.Mail, "Subject: \"a\\\r\n\r\n\x00\x01\u2028 caf\u00e9 \U0001F6A2" + strings.Repeat("€", 100_000)} {
		var p struct{ RawEmail string }
		text, _ := body(t, sinktest.Delivery(t, 1, raw), &postmark{RawEmail: true}, Options{})
		if err := json.Unmarshal([]byte(text), &p); err != nil || p.RawEmail != raw {
			t.Errorf("%d octets of %d, %v", len(p.RawEmail), len(raw), err)
		}
	}
}

// Receivers take whatever has an id for an image of the HTML.
func TestAnEmptyContentIDIsNone(t *testing.T) {
	d := letter(t)
	for i := range d.Message.Attachments {
		d.Message.Attachments[i].CID = ptr("")
	}
	for name, f := range every() {
		if name == "native" || strings.HasPrefix(name, "cloudevents") || strings.HasSuffix(name, "with the mail") || f.ContentType() == "message/rfc822" {
			continue // which say what the mail says
		}
		text, _ := body(t, d, f, Options{})
		for _, key := range []string{"ContentID", "content_id", "content-id", "content-ids", "content-id-map"} {
			if strings.Contains(text, key) {
				t.Errorf("%s has a %s", name, key)
			}
		}
	}
}

// CloudMailin names where a stored attachment is, as Mailgun does in the notice of
// a stored message; the others have no place for it.
func TestStoredAttachmentsAreLinkedToWhereTheFormatCan(t *testing.T) {
	o := Options{Attachments: Store, Link: func(_ *sinks.Delivery, a *parser.Attachment) string { return "https://files.example.com/" + a.PartID }}
	for name, want := range map[string]string{
		"cloudmailin":           `"attachments":[{"url":"https://files.example.com/1.2","file_name":"logo.png",`,
		"cloudmailin as a form": "name=\"attachments[0][url]\"\r\n\r\nhttps://files.example.com/1.2\r\n",
		"mailgun":               url.QueryEscape(`[{"url":"https://files.example.com/1.2","size":8,"name":"logo.png",`),
		"postmark":              "", "sendgrid": "",
	} {
		f := every()[name]
		if err := (Renderer{Format: f, Options: o}).Validate(); (err != nil) != (want == "") {
			t.Errorf("%s: %v", name, err)
		}
		if text, _ := body(t, letter(t), f, o); !strings.Contains(text, want) {
			t.Errorf("%s: no %s in %s", name, want, text)
		}
	}
}

func TestServicesFormatsNameOnlyTheAttachmentsThatAreWanted(t *testing.T) {
	o := Options{Only: &Filter{Names: []string{"*.txt"}}}
	for name, f := range every() {
		if f.Name() == "native" || f.Name() == "cloudevents" || f.ContentType() == "message/rfc822" || strings.HasSuffix(name, "with the mail") {
			continue
		}
		if text, _ := body(t, letter(t), f, o); !strings.Contains(text, "Grüße.txt") || strings.Contains(text, "part-3.pdf") || strings.Contains(text, "logo.png") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestPostmarkDescribesWhatIsLeftOut(t *testing.T) {
	text, _ := body(t, letter(t), &postmark{}, Options{Attachments: Metadata})
	if want := `"Attachments":[{"Name":"logo.png","Content":"","ContentType":"image/png","ContentLength":8,"ContentID":"logo@customer.example"},`; !strings.Contains(text, want) {
		t.Errorf("no %s in %s", want, text)
	}
}

func TestTheIDOfADeliveryAsUUID(t *testing.T) {
	// Checked with uuid.uuid5(uuid.NAMESPACE_URL, "postferry:msg_test0001") of Python.
	if got := uuidOf("msg_test0001"); got != "e7085cf4-c663-5297-a805-11808f6fa4fc" {
		t.Error(got)
	}
}

func TestMailgunFieldByField(t *testing.T) {
	_, b := body(t, letter(t), &mailgun{}, Options{})
	goldenForm(t, b, "mailgun.json")
}

func TestMailgunWithoutFilesIsURLEncoded(t *testing.T) {
	d := sinktest.Delivery(t, 1, "From: Ada <a@example.com>\r\nSubject: 100% & a=b+c\r\n\r\nGr\u00fc\u00dfe & mehr\r\n")
	text, b := body(t, d, &mailgun{}, Options{})
	if b.ContentType != "application/x-www-form-urlencoded" {
		t.Errorf("it is sent as %s", b.ContentType)
	}
	// URL Standard, section 5.2.
	if !strings.HasPrefix(text, "recipient=&sender=&subject=100%25+%26+a%3Db%2Bc&from=Ada+%3Ca%40example.com%3E&X-Mailgun-Incoming=Yes&") ||
		!strings.Contains(text, "&body-plain=Gr%C3%BC%C3%9Fe+%26+mehr%0A&") || strings.Contains(text, "attachment") || strings.Contains(text, "html") {
		t.Error(text)
	}
	if _, b := body(t, letter(t), &mailgun{}, Options{Attachments: Metadata}); b.ContentType != "application/x-www-form-urlencoded" {
		t.Errorf("without files it is sent as %s", b.ContentType)
	} else if got := value(t, b, "attachments"); got != `[{"size":8,"name":"logo.png","content-type":"image/png"},{"size":7,"name":"Grüße.txt","content-type":"text/plain"},{"size":5,"name":"part-3.pdf","content-type":"application/pdf"}]` {
		t.Error(got)
	}
}

// Mailgun: hex HMAC-SHA256, under the signing key, of timestamp and token, which
// has 50 characters; receivers refuse a timestamp of two minutes ago.
func TestMailgunSignsEachAttemptAnew(t *testing.T) {
	f := &mailgun{SigningKey: secret.New("key-0123456789")}
	tokens := map[string]bool{}
	for n, at := range []time.Time{attempt, attempt.Add(time.Millisecond), attempt.Add(time.Hour)} {
		d := sinktest.Delivery(t, 1, sinktest.Mail)
		d.Attempt = n + 1
		_, b := body(t, d, f, Options{At: at})
		timestamp, token := value(t, b, "timestamp"), value(t, b, "token")
		if timestamp != strconv.FormatInt(at.Unix(), 10) || len(token) != 50 {
			t.Errorf("timestamp %s, token %s", timestamp, token)
		}
		tokens[token] = true
		mac := hmac.New(sha256.New, []byte("key-0123456789"))
		mac.Write([]byte(timestamp + token))
		if got, want := value(t, b, "signature"), hex.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("the signature is %s, not %s", got, want)
		}
	}
	if len(tokens) != 3 {
		t.Errorf("%d tokens of three attempts", len(tokens))
	}
}

func TestMailgunAsMIMEHasTheMailAndNoParts(t *testing.T) {
	_, b := body(t, letter(t), &mailgun{MIME: true, SigningKey: secret.New("k")}, Options{At: attempt})
	var names []string
	for _, f := range fieldsOf(t, b) {
		names = append(names, f[0])
	}
	if got := strings.Join(names, " "); got != "recipient sender subject from body-mime timestamp token signature" || b.ContentType != urlencodedForm {
		t.Errorf("%s as %s", got, b.ContentType)
	}
	raw, _ := body(t, letter(t), &raw{}, Options{})
	if value(t, b, "body-mime") != raw {
		t.Error("the mail is another one")
	}
}

// Action Mailbox answers 422 to a recipient that is there and empty.
func TestWithTheMailARecipientThatIsNotKnownIsLeftOut(t *testing.T) {
	d := sinktest.Delivery(t, 1, "Subject: s\r\n\r\nt")
	if text, _ := body(t, d, &mailgun{MIME: true}, Options{}); strings.Contains(text, "recipient") {
		t.Error(text)
	}
	if text, _ := body(t, d, &postmark{RawEmail: true}, Options{}); strings.Contains(text, "OriginalRecipient") {
		t.Error(text)
	}
}

// What a check found is never the sender's to say.
func TestMailgunsChecksAreNotTakenFromTheMail(t *testing.T) {
	d := sinktest.Delivery(t, 1, "X-Mailgun-Spf: Pass\r\nx-mailgun-sflag: No\r\nX-Envelope-From: <ceo@example.com>\r\nSubject: s\r\n\r\nt")
	text, _ := body(t, d, &mailgun{}, Options{})
	if strings.Contains(text, "Spf") || strings.Contains(strings.ToLower(text), "sflag") || strings.Contains(text, "ceo") {
		t.Error(text)
	}
}

func TestSendGridFieldByField(t *testing.T) {
	_, b := body(t, letter(t), &sendGrid{}, Options{})
	goldenForm(t, b, "sendgrid.json")
}

func TestSendGridNamesOnlyWhatIsThere(t *testing.T) {
	d := sinktest.Delivery(t, 1, "Subject: s\r\n")
	d.Message.Text = nil
	_, b := body(t, d, &sendGrid{}, Options{})
	var names []string
	for _, f := range fieldsOf(t, b) {
		names = append(names, f[0])
	}
	if got := strings.Join(names, " "); got != "to from subject headers attachments envelope sender_ip SPF dkim charsets" {
		t.Error(got)
	}
	for name, want := range map[string]string{
		"charsets": `{"to":"UTF-8","from":"UTF-8","subject":"UTF-8"}`, "envelope": `{"to":[""],"from":""}`, "attachments": "0", "dkim": "none", "headers": "Subject: s\n",
	} {
		if got := value(t, b, name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	_, b = body(t, letter(t), &sendGrid{}, Options{Attachments: Metadata})
	if got, info := value(t, b, "attachments"), value(t, b, "attachment-info"); got != "0" || !strings.Contains(info, `"attachment3"`) {
		t.Errorf("%s, %s", got, info)
	}
}

func TestSendGridRawHasTheMailAndNoParts(t *testing.T) {
	_, b := body(t, letter(t), &sendGrid{Raw: true}, Options{})
	var names []string
	for _, f := range fieldsOf(t, b) {
		names = append(names, f[0])
	}
	if got := strings.Join(names, " "); got != "to from cc subject email envelope sender_ip SPF dkim charsets" {
		t.Error(got)
	}
	raw, _ := body(t, letter(t), &raw{}, Options{})
	if value(t, b, "email") != strings.ReplaceAll(raw, "\r\n", "\n") {
		t.Error("the mail is another one")
	}
}

func TestTheHeaderBlockIsThatOfTheMail(t *testing.T) {
	long := "X-Long: " + strings.Repeat("v", 300_000)
	for _, c := range []struct{ name, raw, want string }{
		{"none", "no header at all", ""},
		{"no body", "Subject: s\r\nTo: a@example.com", "Subject: s\nTo: a@example.com\n"},
		{"LF", "Subject: s\nTo: a\n\nbody\n\nmore", "Subject: s\nTo: a\n"},
		{"folded", "Subject: a\r\n b\r\n\r\nbody", "Subject: a\n b\n"},
		{"other octets", "Subject: caf\xe9\r\n\r\nbody", "Subject: caf\uFFFD\n"},
		{"without an end", "Subject: s\r\n" + long + "\r\n\r\n", "Subject: s\n"},
	} {
		got, err := headerBlock(sinktest.Delivery(t, 1, c.raw))
		if err != nil || got != c.want {
			t.Errorf("%s: %.200q, %v", c.name, got, err)
		}
	}
}

func TestCloudMailinFieldByField(t *testing.T) {
	got, b := body(t, letter(t), &cloudMailin{}, Options{})
	if want := golden(t, "cloudmailin.json"); got != want {
		t.Errorf("the body is\n%s\nnot\n%s", got, want)
	}
	if b.ContentType != "application/json" {
		t.Errorf("it is sent as %s", b.ContentType)
	}
	_, b = body(t, letter(t), &cloudMailin{Multipart: true}, Options{})
	goldenForm(t, b, "cloudmailin-form.json")
}

func TestCloudMailinOfABareMailIsEmptyStrings(t *testing.T) {
	got, _ := body(t, sinktest.Delivery(t, 1, ""), &cloudMailin{}, Options{})
	want := compact(t, `{"headers":{},"envelope":{"to":"","recipients":[],"from":"","helo_domain":"","remote_ip":"","spf":{"result":"","domain":""}},
		"plain":"","html":"","reply_plain":"","attachments":[]}`)
	if got != want {
		t.Errorf("the body is\n%s\nnot\n%s", got, want)
	}
}

func TestCloudMailinDescribesWhatIsLeftOut(t *testing.T) {
	text, _ := body(t, letter(t), &cloudMailin{}, Options{Attachments: Metadata})
	if want := `"attachments":[{"file_name":"logo.png","content_type":"image/png","size":8,"disposition":"inline","content_id":"logo@customer.example"},`; !strings.Contains(text, want) {
		t.Errorf("no %s in %s", want, text)
	}
	_, b := body(t, letter(t), &cloudMailin{Multipart: true}, Options{Attachments: Metadata})
	if got := value(t, b, "attachments[1][file_name]"); got != "Grüße.txt" {
		t.Error(got)
	}
}

// Action Mailbox's relay takes the mail as message/rfc822; the recipient is where
// its routing looks for it.
func TestRailsGetsTheMailWithItsRecipient(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"known", "Delivered-To: a+b@example.com\r\nSubject: s\r\n\r\nt", "X-Original-To: a+b@example.com\r\n"},
		{"said already", "X-Original-To: c@example.com\r\nDelivered-To: a@example.com\r\n\r\nt", ""},
		{"unknown", "Subject: s\r\n\r\nt", ""},
		{"not US-ASCII", "Delivered-To: \u00fc@example.com\r\n\r\nt", ""},
		{"no header", "no header at all", ""},
		{"large", "Delivered-To: a@example.com\r\n\r\n" + strings.Repeat("x", rawInMemory), "X-Original-To: a@example.com\r\n"},
	} {
		got, b := body(t, sinktest.Delivery(t, 1, c.raw), &rails{}, Options{})
		if got != c.want+c.raw || b.ContentType != "message/rfc822" {
			t.Errorf("%s: %.200q as %s", c.name, got, b.ContentType)
		}
	}
}

func TestStatusesThatEndADelivery(t *testing.T) {
	for name, want := range map[string]string{
		"native": "", "raw": "", "cloudevents": "", "rails": "", "sendgrid": "", // none is documented
		"postmark": "403", "mailgun": "406",
		"cloudmailin": "400 402 403 404 406 409 410 411 412 413 414 415 416 417 418 422 423 424 426 428 431 451",
	} {
		f, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, status := range strings.Fields("200 301 400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415 416 417 418 421 422 423 424 425 426 428 429 431 451 500 503") {
			if n, _ := strconv.Atoi(status); (Renderer{Format: f}).Stops(n) {
				got = append(got, status)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheEnvelopeIsDerivedOrEmpty(t *testing.T) {
	for _, c := range []struct{ name, raw, own, to, from string }{
		{"what the server wrote", "Return-Path: <b@example.net>\r\nDelivered-To: a@example.com\r\nTo: c@example.com\r\n\r\n", "own@example.com", "a@example.com", "b@example.net"},
		{"the mailbox with a tag", "To: x@example.com, OWN+tag@Example.com\r\n\r\n", "own@example.com", "OWN+tag@Example.com", ""},
		{"the mailbox in Cc", "To: x@example.com\r\nCc: own@example.com\r\n\r\n", "own@example.com", "own@example.com", ""},
		{"the mailbox alone", "To: x@example.com\r\n\r\n", "own@example.com", "own@example.com", ""},
		{"nothing", "To: x@example.com\r\nFrom: y@example.com\r\n\r\n", "", "", ""},
		{"the null reverse-path", "Return-Path: <>\r\n\r\n", "", "", ""},
		{"a Return-Path of several words", "Return-Path: no address here\r\n\r\n", "", "", ""},
	} {
		d := sinktest.Delivery(t, 1, c.raw)
		d.Origin.Address = c.own
		if to, from := recipient(d), returnPath(d.Message); to != c.to || from != c.from {
			t.Errorf("%s: to %q from %q", c.name, to, from)
		}
	}
}

func TestAddressesAreWrittenAsInAHeader(t *testing.T) {
	for _, c := range []struct {
		list  []parser.Address
		quote bool
		want  string
	}{
		{nil, false, ""},
		{[]parser.Address{{Email: "a@example.com"}, {Name: ptr("Ada B."), Email: "b@example.com"}}, false, `a@example.com, "Ada B." <b@example.com>`},
		{[]parser.Address{{Name: ptr("Jürgen"), Email: "j@example.com"}}, false, `Jürgen <j@example.com>`},
		{[]parser.Address{{Name: ptr("Jürgen"), Email: "j@example.com"}}, true, `"Jürgen" <j@example.com>`},
		{[]parser.Address{{Name: ptr(`a"b\c`), Email: "x@example.com"}}, false, `"a\"b\\c" <x@example.com>`},
		{[]parser.Address{{Name: ptr("x\r\nBcc: y"), Email: "x@example.com\r\n"}}, false, `"x  Bcc: y" <x@example.com>`},
		{[]parser.Address{{Name: ptr(""), Email: "undisclosed recipients"}}, false, `undisclosed recipients`},
	} {
		if got := addresses(c.list, c.quote); got != c.want {
			t.Errorf("%s, not %s", got, c.want)
		}
	}
}

var _ Signer = (*mailgun)(nil)

func TestASignerCanBeTriedWithoutAKey(t *testing.T) {
	f := &mailgun{}
	if _, b := body(t, letter(t), f, Options{}); strings.Contains(string(*b.text), `name="token"`) {
		t.Error("signed without a key")
	}
	f.UseTestKey()
	_, b := body(t, letter(t), f, Options{At: attempt})
	mac := hmac.New(sha256.New, []byte("postferry-test-key"))
	mac.Write([]byte(value(t, b, "timestamp") + value(t, b, "token")))
	if value(t, b, "signature") != hex.EncodeToString(mac.Sum(nil)) {
		t.Error("signed with another key")
	}
}
