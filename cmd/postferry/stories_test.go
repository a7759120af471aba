package main_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/s3d"
)

// story is a folder of examples/ whose request.json says what its mail comes to.
type story struct {
	*world
	request struct {
		Method, Path string
		Headers      map[string]string
		Body         any
		Objects      []string
	}
}

// tell puts the story's mail into a real mailbox and runs the program once over
// the story's configuration, in which only names of servers and secrets differ.
func tell(t *testing.T, name string, w *world, replace ...string) *story {
	t.Helper()
	dir := filepath.Join(mailtest.ModuleRoot(t), "examples", name)
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	s := &story{world: w}
	if err := json.Unmarshal([]byte(read("request.json")), &s.request); err != nil {
		t.Fatal(err)
	}
	w.dovecot.Append(t, ada, "INBOX", []byte(read("mail.eml")))
	config := read("postferry.yaml")
	for i, pair := range [][2]string{
		{"imaps://imap.example.com", w.dovecot.URL("imaps") + "\n    tls: {ca_file: " + w.dovecot.CAFile + "}"},
		{"backfill: none", "backfill: all"}, {"${SUPPORT_PASSWORD}", password},
	} {
		if config = strings.Replace(config, pair[0], pair[1], 1); !strings.Contains(config, pair[1]) {
			t.Fatalf("replacement %d is not in the configuration", i)
		}
	}
	for _, box := range []string{"support", "bugs", "alerts", "invoices"} {
		config = strings.Replace(config, "username: "+box+"@example.com", "username: "+ada, 1)
	}
	config = strings.NewReplacer(replace...).Replace(config)
	w.writeWhole("listen: \"\"\n" + config)
	return s
}

// sent is the story's one request, which has to be the one of request.json.
func (s *story) sent(t *testing.T) {
	t.Helper()
	if n := s.receiver.Count(); n != 1 {
		t.Fatalf("%d requests", n)
	}
	q := s.receiver.Requests()[0]
	if q.Method != s.request.Method || q.URL != s.request.Path {
		t.Errorf("%s %s", q.Method, q.URL)
	}
	for name, want := range s.request.Headers {
		if got := q.Header.Get(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	var body any
	if err := json.Unmarshal(q.Body, &body); err != nil || !reflect.DeepEqual(body, s.request.Body) {
		t.Errorf("%v: %s", err, q.Body)
	}
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// vendors answer as the real receiver does, having checked what it checks. An
// error is what it would refuse the request for.
var vendors = map[string]struct {
	replace func(url string) []string
	check   func(q *mailtest.Request) (status int, answer string, err error)
	folder  string // where the mail is then; "" is INBOX
}{
	// Zammad, "Tickets", POST /api/v1/tickets: a title, a group, a customer and an
	// article with a body; base64 in attachments.
	"zammad": {func(url string) []string {
		return []string{"https://zammad.example.com", url, "${ZAMMAD_TOKEN}", "secret-token"}
	},
		func(q *mailtest.Request) (int, string, error) {
			var b struct {
				Title, Group string
				CustomerID   string `json:"customer_id"`
				Article      struct {
					Body, Type  string
					ContentType string `json:"content_type"`
					Attachments []struct {
						Filename, Data string
						MIME           string `json:"mime-type"`
					}
				}
			}
			if err := strictly(q, &b); err != nil {
				return 422, "", err
			}
			if !strings.HasPrefix(q.Header.Get("Authorization"), "Token token=") {
				return 401, "", fmt.Errorf("no token")
			}
			blank := func(s string) bool { return strings.TrimSpace(s) == "" }
			if blank(b.Title) || b.Group == "" || !strings.HasPrefix(b.CustomerID, "guess:") || blank(b.Article.Body) || b.Article.Type == "" {
				return 422, "", fmt.Errorf("a field is missing: %+v", b)
			}
			for _, a := range b.Article.Attachments {
				if _, err := base64.StdEncoding.DecodeString(a.Data); err != nil || a.Filename == "" || a.MIME == "" {
					return 422, "", fmt.Errorf("%+v: %v", a, err)
				}
			}
			return 201, `{"id": 19, "number": "22019"}`, nil
		}, "Tickets"},
	// GitHub, "Create an issue": a title of at most 256 characters, a body of at most
	// 65,536, labels that are texts; a User-Agent on every request.
	"github-issues": {func(url string) []string {
		return []string{"https://api.github.com", url, "${GITHUB_TOKEN}", "secret-token"}
	},
		func(q *mailtest.Request) (int, string, error) {
			var b struct {
				Title, Body string
				Labels      []string
			}
			if err := strictly(q, &b); err != nil {
				return 400, "", err
			}
			switch {
			case !strings.HasPrefix(q.Header.Get("Authorization"), "Bearer "):
				return 401, "", fmt.Errorf("bad credentials")
			case q.Header.Get("User-Agent") == "":
				return 403, "", fmt.Errorf("no User-Agent")
			case strings.TrimSpace(b.Title) == "" || units(b.Title) > 256 || units(b.Body) > 65_536:
				return 422, "", fmt.Errorf("validation failed: %+v", b)
			}
			return 201, `{"number": 7}`, nil
		}, "Filed"},
	// Slack, "Block Kit" and "Incoming webhooks": header 150 characters of plain text,
	// section 3,000, context 10 elements, none empty; it answers ok.
	"slack": {func(url string) []string { return []string{"${SLACK_WEBHOOK_URL}", url + "/services/T0/B0/secret"} },
		func(q *mailtest.Request) (int, string, error) {
			type text struct{ Type, Text string }
			var b struct {
				Text   string
				Blocks []struct {
					Type     string
					Text     *text
					Elements []text
				}
			}
			if err := strictly(q, &b); err != nil {
				return 400, "invalid_payload", err
			}
			for _, k := range b.Blocks {
				bad := false
				switch k.Type {
				case "header":
					bad = k.Text == nil || k.Text.Type != "plain_text" || k.Text.Text == "" || units(k.Text.Text) > 150
				case "section":
					bad = k.Text == nil || k.Text.Type != "mrkdwn" || k.Text.Text == "" || units(k.Text.Text) > 3000
				case "context":
					bad = len(k.Elements) == 0 || len(k.Elements) > 10
				default:
					bad = true
				}
				if bad {
					return 400, "invalid_blocks", fmt.Errorf("%+v", k)
				}
			}
			if b.Text == "" {
				return 400, "no_text", fmt.Errorf("no text")
			}
			return 200, "ok", nil
		}, ""},
	// Mattermost, "Incoming webhooks": a text of at most 16,383 characters; it answers ok.
	"mattermost": {func(url string) []string { return []string{"${MATTERMOST_WEBHOOK_URL}", url + "/hooks/secret"} },
		func(q *mailtest.Request) (int, string, error) {
			var b struct {
				Text, Username string
				Props          map[string]any
			}
			if err := strictly(q, &b); err != nil {
				return 400, "", err
			}
			if b.Text == "" || units(b.Text) > 16_383 || units(b.Username) > 22 {
				return 400, "", fmt.Errorf("%+v", b)
			}
			return 200, "ok", nil
		}, ""},
}

// strictly reads a body of JSON whose fields are all known, or those of v.
func strictly(q *mailtest.Request, v any) error {
	if q.Method != http.MethodPost || !strings.HasPrefix(q.Header.Get("Content-Type"), "application/json") {
		return fmt.Errorf("%s of %s", q.Method, q.Header.Get("Content-Type"))
	}
	return json.Unmarshal(q.Body, v)
}

func TestStoriesSendWhatTheirReceiversTake(t *testing.T) {
	for name, vendor := range vendors {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.receiver.Answer(func(q *mailtest.Request) mailtest.Answer {
				status, text, err := vendor.check(q)
				if err != nil {
					t.Errorf("the receiver refuses: %v", err)
				}
				return mailtest.Answer{Status: status, Body: text}
			})
			s := tell(t, name, w, vendor.replace(w.receiver.URL)...)
			w.once(0)
			s.sent(t)
			folder := vendor.folder
			if folder == "" {
				folder = "INBOX"
			}
			if n := w.dovecot.Count(t, ada, folder); n != 1 {
				t.Errorf("%d mails in %s", n, folder)
			}
		})
	}
}

func TestTheStoryOfInvoicesPutsThemIntoABucketWithTheirDescription(t *testing.T) {
	w := newWorld(t)
	store := s3d.Start(t, "invoices")
	s := tell(t, "invoices-to-bucket", w, "https://s3.example.com", store.URL, "${S3_KEY}", s3d.AccessKey, "${S3_SECRET}", s3d.SecretKey)
	w.once(0)
	if puts := store.Puts(); !slices.Equal(puts, s.request.Objects) {
		t.Fatalf("%q", puts)
	}
	invoice, description := store.Objects()[s.request.Objects[0]], store.Objects()[s.request.Objects[1]]
	if string(invoice.Body) != "%PDF-1.7\n" || !json.Valid(description.Body) || description.ContentType != "application/json" {
		t.Errorf("%q, %s", invoice.Body, description.Body)
	}
	if n := w.dovecot.Count(t, ada, "Filed"); n != 1 {
		t.Errorf("%d mails are filed", n)
	}
}

// oddMails are mails of every day that say less, or more, than the mail of a story.
var oddMails = map[string]string{
	"nothing at all":             "",
	"a subject without a text":   "From: a@x.example\r\nSubject: \r\n\r\n",
	"a subject of spaces":        "From: a@x.example\r\nSubject: =?utf-8?q?=20_=C2=A0?=\r\n\r\n \r\n",
	"no subject and no date":     "From: a@x.example\r\n\r\nhello\r\n",
	"a picture alone":            "From: a@x.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<img src=\"https://x.example/1\">",
	"a scan without a text":      "From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=scan.pdf\r\n\r\n%PDF-1.7\r\n",
	"a long plain text":          "From: a@x.example\r\nSubject: " + strings.Repeat("&_<\U0001F6A2 ", 300) + "\r\n\r\n" + strings.Repeat("<&> *_` \U0001F6A2\r\n", 100_000),
	"a long text in HTML":        "From: a@x.example\r\nSubject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + strings.Repeat("<p>&lt;*_` \U0001F6A2 <a href=\"https://x.example/&amp;\">&amp;</a>", 50_000),
	"a thousand authors":         "From: " + strings.Repeat("\"_A_ &\" <a@x.example>,\r\n ", 1000) + "b@x.example\r\nTo: " + strings.Repeat("*b* <b@x.example>,\r\n ", 1000) + "b@x.example\r\nSubject: x\r\n\r\nx\r\n",
	"hundreds of files":          "From: a@x.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"_a_"+strings.Repeat("long", 40)+".pdf\"\r\n\r\n%PDF-1.7\r\n", 300) + "--b--\r\n",
	"a line that begins a table": "From: a@x.example\r\nSubject: # *x* | @all <!channel>\r\n\r\n| a | b |\r\n|---|---|\r\n",
}

// What a story makes of such mails its receiver takes as well: none is a dead letter.
func TestReceiversOfStoriesTakeOddMailsToo(t *testing.T) {
	binary := mailtest.BuildBinary(t)
	for name, mailbox := range map[string]string{"zammad": "support", "github-issues": "bugs", "slack": "alerts", "mattermost": "alerts", "invoices-to-bucket": "invoices"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, binary: binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			s := &story{}
			folder := filepath.Join(mailtest.ModuleRoot(t), "examples", name)
			if err := json.Unmarshal([]byte(contentOf(t, filepath.Join(folder, "request.json"))), &s.request); err != nil {
				t.Fatal(err)
			}
			vendor := vendors[name]
			replace := []string{"${SUPPORT_PASSWORD}", password, "${S3_KEY}", "key", "${S3_SECRET}", "secret"}
			if vendor.replace != nil {
				replace = append(replace, vendor.replace("https://receiver.example.com")...)
			}
			w.writeWhole(strings.NewReplacer(replace...).Replace(contentOf(t, filepath.Join(folder, "postferry.yaml"))))
			for fact, mail := range oddMails {
				file := filepath.Join(w.dir, "mail.eml")
				if err := os.WriteFile(file, []byte(mail), 0o600); err != nil {
					t.Fatal(err)
				}
				var x struct {
					Requests []struct {
						Method, URL, Body, Error string
						Header                   http.Header
					}
				}
				w.decode(&x, "explain", file, "--mailbox", mailbox)
				for _, r := range x.Requests {
					q := &mailtest.Request{Method: r.Method, URL: r.URL, Body: []byte(r.Body), Header: r.Header}
					for field, value := range s.request.Headers { // which are masked
						q.Header.Set(field, value)
					}
					if r.Error != "" {
						t.Errorf("%s: %s", fact, r.Error)
					} else if vendor.check != nil {
						if _, _, err := vendor.check(q); err != nil {
							t.Errorf("%s: the receiver refuses: %.600s", fact, err)
						}
					}
				}
			}
		})
	}
}

func contentOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
