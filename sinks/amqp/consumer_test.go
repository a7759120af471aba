package amqp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.yaml.in/yaml/v3"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/sinktest"
)

// consumer is the one of the example, of the queue that the example's sink fills.
func consumer(t *testing.T, b broker) {
	folder := filepath.Join(mailtest.ModuleRoot(t), "examples", "rabbitmq")
	text, err := os.ReadFile(filepath.Join(folder, "postferry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Sinks map[string]struct {
			Exchange   string
			RoutingKey string `yaml:"routing_key"`
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	mail, err := os.ReadFile(filepath.Join(folder, "mail.eml"))
	if err != nil {
		t.Fatal(err)
	}
	o := options(b.Addr, config.Sinks["rabbit"].RoutingKey)
	o.Exchange = config.Sinks["rabbit"].Exchange
	b.queue(t, o.RoutingKey, amqp.Table{"x-queue-type": "quorum"})
	s := makeSink(t, o)
	for _, n := range []int{1, 1, 2} {
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, n, string(mail))); err != nil {
			t.Fatal(err)
		}
	}
	p := mailtest.StartProc(t, mailtest.Command{Path: mailtest.BuildExample(t, "rabbitmq/consumer"), Env: []string{"AMQP_URL=" + options(b.Addr, "").URL}})
	p.Stdout.Await(t, sinktest.ID(2))
	p.Stdout.Await(t, "\n")
	lines := strings.Split(strings.TrimSpace(p.Stdout.String()), "\n")
	for i, line := range lines {
		var event struct {
			ID   string
			Data struct{ Message struct{ Subject string } }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.ID != sinktest.ID(i+1) || event.Data.Message.Subject != "Order 1042 is late" {
			t.Errorf("%d: %s", i, line)
		}
	}
	if len(lines) != 2 {
		t.Errorf("%d lines", len(lines))
	}
}
