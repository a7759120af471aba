package main_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/s3d"
)

const invoiceMail = "From: a@x.example\r\nSubject: your invoice\r\nMessage-ID: <1@x.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nsee there\r\n" +
	"--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"../invoice.pdf\"\r\n\r\n%PDF-1.7\r\n" +
	"--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=logo.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgoAAAANSUhEUg==\r\n--b--\r\n"

// What the event points to is there when the event arrives.
func TestAttachmentsAreStoredBeforeTheyAreTold(t *testing.T) {
	w := newWorld(t)
	w.fill([][]byte{[]byte(invoiceMail)})
	w.receiver.Answer(func(q *mailtest.Request) mailtest.Answer {
		var e struct {
			Data struct {
				Message struct {
					Attachments []struct{ Name, URL, Omitted *string }
				}
			}
		}
		if err := json.Unmarshal(q.Body, &e); err != nil || len(e.Data.Message.Attachments) != 2 {
			t.Errorf("%v: %s", err, q.Body)
			return mailtest.Answer{Status: 422}
		}
		pdf, png := e.Data.Message.Attachments[0], e.Data.Message.Attachments[1]
		if pdf.URL == nil || png.URL != nil || png.Omitted == nil {
			t.Errorf("the event says %s", q.Body)
			return mailtest.Answer{Status: 422}
		}
		u, err := url.Parse(*pdf.URL)
		if err != nil {
			t.Error(err)
		}
		if octets, err := os.ReadFile(u.Path); err != nil || string(octets) != "%PDF-1.7" {
			t.Errorf("at %s are %q, %v", *pdf.URL, octets, err)
		}
		return mailtest.Answer{Status: 200}
	})
	files := filepath.Join(w.dir, "files")
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "deliver: [app, invoices]") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL, "attachments: store", "attachments_to: {dir: kept}", "attachments_only: {types: [application/pdf]}") +
		"  invoices: {type: file, dir: " + files + ", each: attachment, key: '{{ mailbox.name }}/{{ attachment.name }}', sidecar: true, attachments_only: {names: ['*.pdf']}}\n")
	w.once(0)
	w.exactlyOnce(1)
	var names []string
	err := filepath.WalkDir(files, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(files, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) != 2 || names[0] != "inbox/_._invoice.pdf" || names[1] != "inbox/_._invoice.pdf.json" {
		t.Errorf("%q, %v", names, err)
	}
}

// A check looks at the place of attachments, and makes nothing.
func TestCheckLooksAtWhereAttachmentsAreKept(t *testing.T) {
	w := newWorld(t)
	store := s3d.Start(t, "mail")
	w.write("mailboxes:\n" + w.box("inbox", "imaps", ada, "deliver: [app, bucket, other]") + "\nsinks:\n" +
		w.sink("app", w.receiver.URL, "attachments: store", "attachments_to: {dir: kept}") +
		w.sink("bucket", w.receiver.URL, "attachments: store", "attachments_to: {s3: {bucket: mail, endpoint: '"+store.URL+"', region: "+s3d.Region+", access_key: "+s3d.AccessKey+", secret_key: "+s3d.SecretKey+"}}") +
		w.sink("other", w.receiver.URL, "attachments: store", "attachments_to: {s3: {bucket: post, endpoint: '"+store.URL+"', region: "+s3d.Region+", access_key: "+s3d.AccessKey+", secret_key: "+s3d.SecretKey+"}}"))
	code, out, _ := w.run("check", "app", "bucket")
	if code != 0 || !strings.Contains(out, "bucket mail is there") {
		t.Errorf("exit code %d: %s", code, out)
	}
	code, out, stderr := w.run("check", "other")
	if code != 69 || !strings.Contains(out+stderr, "no bucket post") || strings.Contains(out+stderr, s3d.SecretKey) {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "kept")); !os.IsNotExist(err) || len(store.Puts()) != 0 {
		t.Errorf("the check made something: %v, %q", err, store.Puts())
	}
}
