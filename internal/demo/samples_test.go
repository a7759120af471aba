package demo

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// part is a body without parts.
type part struct {
	header textproto.MIMEHeader
	kind   string
	params map[string]string
	body   []byte // decoded
}

// leaves are the bodies of a mail in order. What is not well-formed fails the
// test.
func leaves(t *testing.T, header textproto.MIMEHeader, body []byte) []part {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("Content-Type %q: %v", header.Get("Content-Type"), err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		boundary := params["boundary"]
		if len(boundary) < 1 || len(boundary) > 70 { // RFC 2046 section 5.1.1
			t.Errorf("boundary %q", boundary)
		}
		if n := strings.Count(string(body), "\r\n--"+boundary+"--\r\n"); n != 1 {
			t.Errorf("boundary %q is closed %d times", boundary, n)
		}
		var all []part
		for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return all
			} else if err != nil {
				t.Fatal(err)
			}
			inner, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, leaves(t, p.Header, inner)...)
		}
	}
	p := part{header, kind, params, nil}
	switch e := header.Get("Content-Transfer-Encoding"); e {
	case "":
		p.body = body
		if i := bytes.IndexFunc(body, func(r rune) bool { return r > '~' }); i >= 0 {
			t.Errorf("eight bits in a body without an encoding, at %d", i)
		}
	case "base64":
		p.body, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\r\n", ""))
	case "quoted-printable":
		p.body, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	default:
		t.Errorf("transfer encoding %q", e)
	}
	if err != nil {
		t.Errorf("%s: %v", kind, err)
	}
	return []part{p}
}

// read is a sample with its header and its leaves.
func read(t *testing.T, name string) (mail.Header, []part) {
	t.Helper()
	raw, _, err := sample(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, leaves(t, textproto.MIMEHeader(m.Header), body)
}

func TestEverySampleIsInOneMailbox(t *testing.T) {
	files, err := mails.ReadDir("mails")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range files {
		have = append(have, strings.TrimSuffix(f.Name(), path.Ext(f.Name())))
	}
	all := slices.Sorted(slices.Values(append(slices.Clone(imapSamples), pop3Samples...)))
	if !slices.Equal(have, all) || Samples() != len(all) {
		t.Errorf("the files are %v, in the mailboxes are %v", have, all)
	}
}

func TestSamplesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range append(slices.Clone(imapSamples), pop3Samples...) {
		t.Run(name, func(t *testing.T) {
			raw, at, err := sample(name)
			if err != nil {
				t.Fatal(err)
			}
			if n, crlf := bytes.Count(raw, []byte("\n")), bytes.Count(raw, []byte("\r\n")); n != crlf || n != bytes.Count(raw, []byte("\r")) || !bytes.HasSuffix(raw, []byte("\r\n")) {
				t.Errorf("of %d lines %d end in CRLF", n, crlf)
			}
			for _, line := range bytes.Split(raw, []byte("\r\n")) {
				if len(line) > 998 { // RFC 5322 section 2.1.1
					t.Errorf("a line of %d octets", len(line))
				}
			}
			if at.Year() != 2026 || at.Month() != 11 {
				t.Errorf("it is of %v", at)
			}
			h, all := read(t, name)
			for _, field := range []string{"From", "To"} {
				if list, err := new(mail.AddressParser).ParseList(h.Get(field)); name != "chinese" && (err != nil || len(list) == 0) {
					t.Errorf("%s %q: %v", field, h.Get(field), err)
				}
			}
			id := h.Get("Message-ID")
			if !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, ">") || strings.Count(id, "@") != 1 || seen[id] {
				t.Errorf("Message-ID %q", id)
			}
			seen[id] = true
			if h.Get("MIME-Version") != "1.0" || h.Get("Subject") == "" || len(all) == 0 {
				t.Errorf("header %v, %d parts", h, len(all))
			}
		})
	}
}

func TestSupportSampleQuotesWhatItAnswers(t *testing.T) {
	h, all := read(t, "support")
	text := string(all[0].body)
	if !strings.Contains(text, "the tracking page has shown “in transit” since Thursday") || !strings.Contains(text, "\r\n> Hello Ada,\r\n") {
		t.Errorf("the text is %q", text)
	}
	if !strings.HasSuffix(h.Get("References"), h.Get("In-Reply-To")) || h.Get("In-Reply-To") == "" {
		t.Errorf("In-Reply-To %q, References %q", h.Get("In-Reply-To"), h.Get("References"))
	}
}

func TestInvoiceSampleHoldsARealPDF(t *testing.T) {
	_, all := read(t, "invoice")
	if len(all) != 3 || all[0].kind != "text/plain" || all[1].kind != "text/html" || all[2].kind != "application/pdf" {
		t.Fatalf("the parts are %v", all)
	}
	pdf := all[2].body
	disposition, params, err := mime.ParseMediaType(all[2].header.Get("Content-Disposition"))
	if err != nil || disposition != "attachment" || params["filename"] != "invoice-2026-1187.pdf" || params["size"] != strconv.Itoa(len(pdf)) {
		t.Errorf("disposition %q %v of %d octets, %v", disposition, params, len(pdf), err)
	}
	if !bytes.HasPrefix(pdf, []byte("%PDF-1.4\n")) || !bytes.HasSuffix(pdf, []byte("%%EOF\n")) {
		t.Fatalf("it begins with %q", pdf[:20])
	}
	// ISO 32000 section 7.5.5: startxref tells where the table is, and the table where each object is.
	_, end, _ := bytes.Cut(pdf, []byte("startxref\n"))
	var xref, n int
	fmt.Sscan(string(end), &xref)
	if xref <= 0 || xref > len(pdf) || !bytes.HasPrefix(pdf[xref:], []byte("xref\n0 ")) {
		t.Fatalf("startxref is %d", xref)
	}
	fmt.Sscanf(string(pdf[xref:]), "xref\n0 %d", &n)
	lines := strings.Split(string(pdf[xref:]), "\n")[2:]
	if n != 7 {
		t.Errorf("the table has %d entries", n)
	}
	for i := 1; i < n; i++ {
		at, _ := strconv.Atoi(lines[i][:10])
		if want := fmt.Sprintf("%d 0 obj\n", i); !bytes.HasPrefix(pdf[at:], []byte(want)) {
			t.Errorf("at %d there is no %q", at, want)
		}
	}
}

func TestChineseSampleIsGB18030InSubjectAndText(t *testing.T) {
	h, all := read(t, "chinese")
	words := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		if charset != "gb18030" {
			return nil, fmt.Errorf("charset %s", charset)
		}
		return simplifiedchinese.GB18030.NewDecoder().Reader(in), nil
	}}
	for field, want := range map[string]string{
		"Subject": "订单 8823 发货通知：货物已从深圳发出，预计星期五到达",
		"From":    "王芳 <wang.fang@haigang.example>",
		"To":      "张经理 <orders@example.com>",
	} {
		if got, err := words.DecodeHeader(h.Get(field)); got != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", field, got, err, want)
		}
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(all[0].body)
	if err != nil || all[0].params["charset"] != "gb18030" || !bytes.HasPrefix(text, []byte("张经理：\r\n\r\n您好！订单 8823 的 200 件货物")) {
		t.Errorf("the text is %q in %v, %v", text, all[0].params, err)
	}
}

func TestBounceSampleIsADeliveryStatusReport(t *testing.T) {
	h, all := read(t, "bounce")
	kind, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if kind != "multipart/report" || params["report-type"] != "delivery-status" || h.Get("Return-Path") != "<>" || h.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("header %v", h)
	}
	if len(all) != 3 || all[1].kind != "message/delivery-status" || all[2].kind != "text/rfc822-headers" {
		t.Fatalf("the parts are %v", all)
	}
	// RFC 3464 section 2: fields of the message, an empty line, fields of the recipient.
	_, recipient, _ := strings.Cut(string(all[1].body), "\r\n\r\n")
	fields, err := mail.ReadMessage(strings.NewReader(strings.TrimRight(recipient, "\r\n") + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Final-Recipient": "rfc822; charles@customer.example", "Action": "failed", "Status": "5.1.1"} {
		if got := fields.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(string(all[2].body), "Message-ID: <news-2026-11.charles@example.com>\r\n") {
		t.Errorf("the original's header is %q", all[2].body)
	}
}

func TestNewsletterSampleIsOfAList(t *testing.T) {
	h, all := read(t, "newsletter")
	if h.Get("List-Id") != "Gopher Weekly <weekly.lists.gopherweekly.example>" || h.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" ||
		!strings.HasPrefix(h.Get("List-Unsubscribe"), "<https://gopherweekly.example/u/4711>, <mailto:") {
		t.Errorf("header %v", h)
	}
	if len(all) != 2 || all[1].kind != "text/html" || !bytes.Contains(all[1].body, []byte("<h1>Gopher Weekly — issue 631</h1>")) {
		t.Errorf("the parts are %v", all)
	}
}

func TestInvitationSampleHoldsACalendar(t *testing.T) {
	_, all := read(t, "invitation")
	if len(all) != 2 || all[1].kind != "text/calendar" || all[1].params["method"] != "REQUEST" ||
		!bytes.HasPrefix(all[1].body, []byte("BEGIN:VCALENDAR\r\n")) || !bytes.HasSuffix(all[1].body, []byte("END:VCALENDAR\r\n")) {
		t.Errorf("the parts are %v", all)
	}
}
