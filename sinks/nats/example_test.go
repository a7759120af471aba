package nats

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestTheConsumerOfTheExampleTakesEachMailOnce(t *testing.T) {
	folder := filepath.Join(mailtest.ModuleRoot(t), "examples", "nats-stream")
	text, err := os.ReadFile(filepath.Join(folder, "postferry.yaml"))
	must(t, err)
	var config struct {
		Sinks map[string]struct{ Subject, Stream string }
	}
	must(t, yaml.Unmarshal(text, &config))
	mail, err := os.ReadFile(filepath.Join(folder, "mail.eml"))
	must(t, err)
	n := mailtest.StartNATS(t)
	newStream(t, n)
	o := options(n.URL)
	o.Subject, o.Stream = config.Sinks["stream"].Subject, config.Sinks["stream"].Stream
	s := makeSink(t, o, payload.Renderer{})
	for _, i := range []int{1, 1, 2} {
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, i, string(mail))); err != nil {
			t.Fatal(err)
		}
	}
	consumer := mailtest.StartProc(t, mailtest.Command{Path: mailtest.BuildExample(t, "nats-stream/consumer"), Env: []string{"NATS_URL=" + n.URL}})
	consumer.Stdout.Await(t, sinktest.ID(2)+" {")
	consumer.Stdout.Await(t, "}\n"+sinktest.ID(2))
	lines := strings.Split(strings.TrimSpace(consumer.Stdout.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], sinktest.ID(1)+" {") || !strings.Contains(lines[0], "Order 1042 is late") {
		t.Errorf("%d lines: %.300s", len(lines), lines)
	}
}
