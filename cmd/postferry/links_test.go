package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The event has a link to what is too large for it; the link gives exactly that,
// as a download, and nobody can make another.
func TestAttachmentsThatAreNotInTheEventAreBehindSignedLinks(t *testing.T) {
	w := newWorld(t)
	w.fill([][]byte{[]byte(invoiceMail)})
	address := freeAddress(t)
	body := "version: 1\nlisten: " + address + "\npublic_url: http://" + address + "/\nlink_secret: 0123456789abcdef-canary\nmailboxes:\n" +
		w.box("inbox", "imaps", ada) + "\nsinks:\n" + w.sink("app", w.receiver.URL, "attachments: metadata")
	w.writeWhole(body)
	p := w.start("run")
	w.receiver.Wait(t, 1)
	var e struct {
		Data struct {
			Message struct {
				Attachments []struct {
					SafeName     string
					URL, Omitted *string
				}
			}
		}
	}
	request := w.receiver.Requests()[0]
	if err := json.Unmarshal(request.Body, &e); err != nil || len(e.Data.Message.Attachments) != 2 {
		t.Fatalf("%v: %s", err, request.Body)
	}
	pdf := e.Data.Message.Attachments[0]
	if pdf.URL == nil || pdf.Omitted != nil || strings.Contains(string(request.Body), "canary") {
		t.Fatalf("the event says %s", request.Body)
	}
	get := func(url string) (int, http.Header, string) {
		t.Helper()
		client := &http.Client{Timeout: time.Minute}
		defer client.CloseIdleConnections()
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		octets, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, string(octets)
	}
	code, header, octets := get(*pdf.URL)
	if code != 200 || octets != "%PDF-1.7" || header.Get("Content-Disposition") != "attachment; filename="+pdf.SafeName || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v %q", code, header, octets)
	}
	for name, c := range map[string]struct {
		url  string
		want int
	}{
		"another part":       {strings.Replace(*pdf.URL, "/2?", "/3?", 1), 403},
		"a later end":        {strings.Replace(*pdf.URL, "expires=", "expires=1", 1), 403},
		"another signature":  {(*pdf.URL)[:len(*pdf.URL)-2] + "xx", 403},
		"no signature":       {(*pdf.URL)[:strings.Index(*pdf.URL, "?")], 403},
		"nothing at all":     {"http://" + address + "/attachments/", 404},
		"a path that climbs": {"http://" + address + "/attachments/..%2f..%2fetc/passwd", 403},
	} {
		if code, _, octets := get(c.url); code != c.want || strings.Contains(octets, "PDF") {
			t.Errorf("%s: %d %q", name, code, octets)
		}
	}
	if err := p.Signal(terminate); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.writeWhole(strings.Replace(body, "link_secret: 0123456789abcdef-canary\n", "", 1))
	if code, _, stderr := w.run("run", "--once"); code != 78 || !strings.Contains(stderr, "link_secret") {
		t.Errorf("without a secret: exit code %d: %s", code, tail(stderr, 500))
	}
}
