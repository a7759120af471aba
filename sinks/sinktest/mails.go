package sinktest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

// Mail is an ordinary mail with an attachment.
const Mail = "From: Ada Byron <ada@customer.example>\r\nTo: support@example.com\r\n" +
	"Subject: Order 1042 is late\r\nMessage-ID: <caf3.91@mail.example>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nStill nothing here.\r\n" +
	"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=invoice.pdf\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n"

// Hostile are mails that careless software trips over.
func Hostile() []string {
	attached := func(name, encoding, body string) string {
		return "Subject: attached\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" +
			"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\n" +
			"Content-Transfer-Encoding: " + encoding + "\r\n\r\n" + body + "\r\n--b--\r\n"
	}
	return []string{
		"",
		"no header at all",
		"\r\n\r\n",
		"Subject: \x00\x01\x1b[31m\xff\xfe\r\n\r\nnot \xc3\x28 UTF-8 \xed\xa0\x80\r\n",
		"Subject: =?utf-8?q?line=0D=0AInjected:_yes?=\r\n\r\n\u2028\u2029\r\n",
		"Message-ID: <../../../../etc/passwd>\r\nSubject: path\r\n\r\nx\r\n",
		attached("../../../../tmp/evil", "base64", "AAAA"),
		attached(`C:\\windows\\system32\\x.dll`, "base64", "====broken*&^"),
		attached(strings.Repeat("long", 20_000)+".pdf", "quoted-printable", "=ZZ=\r\n=3"),
		attached("large.bin", "base64", wrap(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("0123456789abcdef"), 200_000)))),
		attached("large.txt", "8bit", strings.Repeat("line of a large attachment \xff\r\n", 80_000)),
		"Subject: large\r\n\r\n" + strings.Repeat("x", 600_000) + "\r\n",
	}
}

func wrap(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s
}

// ID is the id of delivery n.
func ID(n int) string { return fmt.Sprintf("msg_test%04d", n) }

// Delivery is the first attempt of delivery n of the mail.
func Delivery(t testing.TB, n int, raw string) *sinks.Delivery {
	t.Helper()
	octets := spool.NewOctets([]byte(raw))
	m, err := parser.Parse(octets, octets.Size(), parser.Limits{})
	if err != nil {
		t.Fatalf("parse a mail: %v", err)
	}
	at := time.Date(2026, 11, 23, 11, 59, 43, 0, time.UTC)
	m.ReceivedAt = &at
	folder, validity, uid := "INBOX", uint32(1693), uint32(n+1)
	return &sinks.Delivery{
		ID: ID(n), Attempt: 1, Timestamp: at.Add(18 * time.Second), Message: m, Octets: octets,
		Origin: sinks.Origin{Name: "support", Protocol: "imap", Folder: &folder, UIDValidity: &validity, UID: &uid, Flags: []string{`\Seen`}},
	}
}
