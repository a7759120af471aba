package webhook

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// noise is base64 that gzip makes little of.
func noise(octets int) string {
	var b strings.Builder
	for i := uint32(1); b.Len() < octets; i++ {
		x := i * 2654435761
		fmt.Fprintf(&b, "%08x%08x", x^x>>15, x*40503^x>>7)
		if i%4 == 0 {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

func TestACompressedBodyIsTheBodyAndIsSignedAsSent(t *testing.T) {
	for name, attached := range map[string]string{
		"small": "JVBERi0=", "large": noise(2 << 20), "large and even": strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			r := mailtest.NewReceiver(t)
			render := payload.Renderer{Options: payload.Options{Attachments: payload.Inline}}
			s, err := New("app", Options{URL: r.URL, Compress: "gzip", Secret: secret.New(keyOne), Timeout: 5 * time.Minute}, render, sinks.Env{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			d := sinktest.Delivery(t, 1, strings.Replace(sinktest.Mail, "JVBERi0=", attached, 1))
			for range 2 {
				if _, err := s.Deliver(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			first, second := r.Requests()[0], r.Requests()[1]
			if first.Err != nil || !bytes.Equal(first.Body, second.Body) {
				t.Errorf("two attempts differ, or broke off: %v", first.Err)
			}
			if first.Header.Get("Content-Encoding") != "gzip" || first.Header.Get("Content-Length") != fmt.Sprint(len(first.Body)) {
				t.Errorf("the header is %v", first.Header)
			}
			if err := verifier(t, keyOne).Verify(first.Body, first.Header); err != nil {
				t.Errorf("the signature of what was sent: %v", err)
			}
			z, err := gzip.NewReader(bytes.NewReader(first.Body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			body, err := render.Render(d)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Release()
			if want, err := body.ReadAll(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d octets instead of %d, %v", len(got), len(want), err)
			}
		})
	}
}

// A receiver that refuses before it has read a body leaves nothing behind;
// TestMain looks for goroutines.
func TestALongCompressedBodyMayBeLeftUnread(t *testing.T) {
	body, err := payload.Renderer{Options: payload.Options{Attachments: payload.Inline}}.Render(
		sinktest.Delivery(t, 1, strings.Replace(sinktest.Mail, "JVBERi0=", noise(2<<20), 1)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := compress(body)
	if err != nil || c.text != nil {
		t.Fatal("it is held in memory", err)
	}
	for _, n := range []int64{0, 1, 100_000} {
		r := c.Open()
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	body.Release()
}
