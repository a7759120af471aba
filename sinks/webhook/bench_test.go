package webhook

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

// BenchmarkDeliver is one delivery of 4 KB on each of 8 connections, signed,
// beside what net/http takes to post the same octets.
func BenchmarkDeliver(b *testing.B) {
	const connections = 8
	r := mailtest.NewReceiver(b, mailtest.CountOnly)
	rendered, err := payload.Renderer{}.Render(sinktest.Delivery(b, 1, sinktest.Numbered(1)))
	if err != nil {
		b.Fatal(err)
	}
	octets, _ := rendered.ReadAll()
	t := &http.Transport{MaxIdleConnsPerHost: connections}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t}
	s := makeSink(b, Options{URL: r.URL, Secret: secret.New(keyOne)}, sinks.Env{Concurrency: connections})
	sinktest.Bench(b, s, connections, func() error {
		resp, err := client.Post(r.URL, "application/json", bytes.NewReader(octets))
		if err != nil {
			return err
		}
		io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	})
}
