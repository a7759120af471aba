package mqtt

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
	folder := filepath.Join(mailtest.ModuleRoot(t), "examples", "mqtt")
	text, err := os.ReadFile(filepath.Join(folder, "postferry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Sinks map[string]struct{ Topic string }
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	mail, err := os.ReadFile(filepath.Join(folder, "mail.eml"))
	if err != nil {
		t.Fatal(err)
	}
	server := mailtest.StartMosquitto(t)
	p := mailtest.StartProc(t, mailtest.Command{Path: mailtest.BuildExample(t, "mqtt/consumer"), Env: []string{
		"MQTT_ADDR=" + server.Addr, "MQTT_USER=" + mailtest.MosquittoReader, "MQTT_PASSWORD=" + mailtest.MosquittoPassword,
	}})
	p.Stderr.Await(t, "subscribed")
	s := makeSink(t, options(server.Addr, config.Sinks["broker"].Topic))
	for _, n := range []int{1, 1, 2} {
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, n, string(mail))); err != nil {
			t.Fatal(err)
		}
	}
	p.Stdout.Await(t, sinktest.ID(2))
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
