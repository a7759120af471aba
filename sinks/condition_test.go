package sinks

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/parser"
)

const orderMail = "From: Ada Byron <Ada@Customer.example>\r\n" +
	"To: support+vip@example.com, Team <team@EXAMPLE.com>\r\n" +
	"Cc: boss@other.example\r\n" +
	"Subject: Re: Order 1042 is LATE\r\n" +
	"Message-ID: <caf3.91@mail.example>\r\n" +
	"In-Reply-To: <t1042@example.com>\r\n" +
	"Date: Mon, 23 Nov 2026 12:59:40 +0100\r\n" +
	"X-Priority: 1 (Highest)\r\n" +
	"x-priority: 5\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nStill nothing here. Grüße\r\n" +
	"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"Invoice.pdf\"\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n"

func parseMail(t testing.TB, raw string) *parser.Message {
	t.Helper()
	m, err := parser.Parse(bytes.NewReader([]byte(raw)), int64(len(raw)), parser.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 11, 59, 43, 0, time.UTC)
	m.ReceivedAt = &at
	return m
}

func fromSupport() Origin {
	folder, uid := "INBOX", uint32(1483)
	return Origin{Name: "support", Protocol: "imap", Folder: &folder, UIDValidity: &uid, UID: &uid, Flags: []string{`\Seen`}}
}

func holds(t testing.TB, source string, m *parser.Message, from Origin) bool {
	t.Helper()
	c, err := CompileCondition(source)
	if err != nil {
		t.Errorf("%s: %v", source, err)
		return false
	}
	got, err := c(m, from)
	if err != nil {
		t.Errorf("%s: %v", source, err)
	}
	return got
}

func TestConditionsOverAMail(t *testing.T) {
	m, origin := parseMail(t, orderMail), fromSupport()
	bare := parseMail(t, "\r\nbody\r\n")
	for _, c := range []struct {
		source     string
		mail, bare bool
	}{
		{`has(message.subject, "order 1042")`, true, false},
		{`has(message.subject, "")`, true, true},
		{`has(message.text, "GRÜSSE")`, false, false},
		{`has(message.text, "GRÜßE")`, true, false},
		{`has("ABC", "bc")`, true, true},
		{`has(message.list.id, "x")`, false, false},
		{`has(message.from[0].name, "byron")`, true, false},
		{`from() == "ada@customer.example"`, true, false},
		{`from() == "ADA@CUSTOMER.EXAMPLE"`, true, false},
		{`from() == ""`, false, true},
		{`header("X-PRIORITY") startsWith "1"`, true, false},
		{`header("X-None") == ""`, true, true},
		{`anyTo("SUPPORT+vip@example.com")`, true, false},
		{`anyTo("support@example.com")`, false, false},
		{`anyTo("@Example.COM")`, true, false},
		{`anyTo("@ample.com")`, false, false},
		{`anyTo("boss@other.example")`, true, false},
		{`message.subject == nil`, false, true},
		{`message.from == nil`, false, true},
		{`message.bounce == nil and message.list == nil`, true, true},
		{`message.bounce.original.subject contains "x"`, false, false},
		{`any(message.bounce.recipients, .status == "5.1.1")`, false, false},
		{`message.attachments[0].safeName == "Invoice.pdf"`, true, false},
		{`any(message.attachments, .type == "application/pdf" and has(.name, "invoice"))`, true, false},
		{`message.attachments[0].size == 5`, true, false},
		{`message.inReplyTo[0] == "t1042@example.com"`, true, false},
		{`message.sentAt < message.receivedAt`, true, true},
		{`message.sentAt.Hour() == 12`, true, false},
		{`len(message.cc) == 1`, true, false},
		{`mailbox.name == "support"`, true, true},
		{`mailbox.uid == 1483`, true, true},
		{`mailbox.uidl == nil`, true, true},
		{`mailbox.folder == "INBOX"`, true, true},
		{`"\\Seen" in mailbox.flags`, true, true},
		{`message.thread.key == ""`, false, false},
	} {
		if got := holds(t, c.source, m, origin); got != c.mail {
			t.Errorf("%s is %v for the order", c.source, got)
		}
		if got := holds(t, c.source, bare, origin); got != c.bare {
			t.Errorf("%s is %v for a mail without a header", c.source, got)
		}
	}
}

func TestHasFindsWhatLiesAcrossWindows(t *testing.T) {
	text := strings.Repeat("x", window-3) + "ÄpfelÜ" + strings.Repeat("y", 2*window)
	for part, want := range map[string]bool{"äpfelü": true, "ÄPFEL": true, "apfel": false, strings.Repeat("y", window+1): true, strings.Repeat("z", window+1): false, "lüyy": true} {
		if got := containsLower(text, strings.ToLower(part)); got != want {
			t.Errorf("%.10s… of %d octets: %v", part, len(part), got)
		}
	}
}

func TestConditionMistakesNameThePlaceAndTheRightName(t *testing.T) {
	for source, want := range map[string]string{
		`message.subjct == "x"`:              `"subjct" is not a field here; did you mean "subject"? (at column 9)`,
		`message.Subject == "x"`:             `did you mean "subject"?`,
		`mailbox.nmae == "x"`:                `did you mean "name"?`,
		`subject == "x"`:                     `did you mean "message.subject"?`,
		`folder == "x"`:                      `did you mean "mailbox.folder"?`,
		`hass(message.subject, "x")`:         `did you mean "has"?`,
		`anyTo("support")`:                   `anyTo wants an address`,
		`header("X-Priority:") == "1"`:       `header("X-Priority")`,
		`from`:                               `unknown name "from"`,
		`message.from.email == "x"`:          `is asked of a list`,
		`any(message.to, .adress == "x")`:    `"adress" is not a field here`,
		`message.attachments[0].Open()==nil`: `only times have methods`,
		`message.size`:                       `instead of true or false`,
	} {
		_, err := CompileCondition(source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", source, err)
		}
	}
}

// Every field of the event can be named, and compared where it is absent.
func TestEveryFieldCanBeNamed(t *testing.T) {
	bare, origin := parseMail(t, "\r\n"), Origin{Flags: []string{}}
	count := 0
	for path, typ := range paths(reflect.TypeFor[subject](), "", 0) {
		count++
		sources := []string{path + " == nil or true"}
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch typ.Kind() {
		case reflect.String:
			sources = append(sources, path+` contains "x" or true`, `lower(`+path+`) != "x"`, `has(`+path+`, "") `)
		case reflect.Slice:
			sources = append(sources, `len(`+path+`) >= 0`, `all(`+path+`, true)`, path+`[0] == nil or true`)
		case reflect.Bool:
			sources = append(sources, `not `+path+` or true`)
		case reflect.Int64, reflect.Uint32:
			sources = append(sources, path+` >= 0`)
		}
		for _, s := range sources {
			if !holds(t, s, bare, origin) {
				t.Errorf("%s does not hold", s)
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d fields seen", count)
	}
}

// paths are the JSON paths below a struct, with their types.
func paths(t reflect.Type, prefix string, depth int) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("json")
		if name == "" || name == "-" || !f.IsExported() || depth > 5 {
			continue
		}
		all[prefix+name] = f.Type
		inner, path := f.Type, prefix+name
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice {
				path += "[0]"
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() != "time" && inner.Name() != "Time" {
			for k, v := range paths(inner, path+".", depth+1) {
				all[k] = v
			}
		}
	}
	return all
}

func TestDocumentedExamplesCompile(t *testing.T) {
	text, err := os.ReadFile("../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	var sources []string
	for _, block := range regexp.MustCompile("(?s)```expr\n(.*?)```").FindAllStringSubmatch(doc, -1) {
		sources = append(sources, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	for _, when := range regexp.MustCompile(`when: '([^']*)'`).FindAllStringSubmatch(doc, -1) {
		sources = append(sources, when[1])
	}
	if len(sources) < 30 {
		t.Fatalf("only %d examples found", len(sources))
	}
	mails := []*parser.Message{parseMail(t, orderMail), parseMail(t, "\r\n")}
	for _, s := range sources {
		for _, m := range mails {
			holds(t, s, m, fromSupport())
		}
	}
	_, functions, found := strings.Cut(doc, "these functions: ")
	functions, _, end := strings.Cut(functions, ". Times have")
	if !found || !end {
		t.Fatal("the list of functions is not found")
	}
	for _, name := range regexp.MustCompile("`([a-zA-Z]+)`").FindAllStringSubmatch(functions, -1) {
		if _, err := CompileCondition(name[1] + "() == 1"); err != nil && strings.Contains(err.Error(), "unknown function") {
			t.Errorf("the documented function %s is unknown", name[1])
		}
	}
}

func FuzzCondition(f *testing.F) {
	f.Add(`has(message.subject, "x") and from() == "y"`, []byte(orderMail))
	f.Add(`any(message.headers, .value matches "a+")`, []byte("Subject: =?utf-8?q?=ff?=\r\n\r\n"))
	f.Add(`anyTo("@x") or header("a") in message.recipientTags`, []byte("To: a@x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, source string, raw []byte) {
		c, err := CompileCondition(source)
		if err != nil {
			return
		}
		m, err := parser.Parse(bytes.NewReader(raw), int64(len(raw)), parser.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c(m, fromSupport()); err != nil && strings.Contains(err.Error(), "invalid memory address") {
			t.Fatalf("%q: %v", source, err)
		}
	})
}

func BenchmarkCondition(b *testing.B) {
	c, err := CompileCondition(`has(message.subject, "order") and from() endsWith "@customer.example" and any(message.attachments, .type == "application/pdf")`)
	if err != nil {
		b.Fatal(err)
	}
	m, origin := parseMail(b, orderMail), fromSupport()
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := c(m, origin); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
