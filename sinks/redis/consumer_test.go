package redis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestTheConsumerOfTheExampleTakesEachMailOnce(t *testing.T) {
	folder := filepath.Join(mailtest.ModuleRoot(t), "examples", "redis-stream")
	text, err := os.ReadFile(filepath.Join(folder, "postferry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Sinks map[string]struct {
			Stream  string
			Headers map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	mail, err := os.ReadFile(filepath.Join(folder, "mail.eml"))
	if err != nil {
		t.Fatal(err)
	}
	server := mailtest.StartRedis(t)
	o := options(server.Addr)
	o.Stream, o.Headers = config.Sinks["stream"].Stream, config.Sinks["stream"].Headers
	s := makeSink(t, o)
	for _, n := range []int{1, 1, 2} {
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, n, string(mail))); err != nil {
			t.Fatal(err)
		}
	}
	consumer := mailtest.StartProc(t, mailtest.Command{Path: mailtest.BuildExample(t, "redis-stream/consumer"), Env: []string{"REDIS_URL=redis://" + server.Addr}})
	consumer.Stdout.Await(t, sinktest.ID(2))
	consumer.Stdout.Await(t, "\n")
	lines := strings.Split(strings.TrimSpace(consumer.Stdout.String()), "\n")
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
