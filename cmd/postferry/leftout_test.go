package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// leftOut are the kinds of sinks that a build tag leaves out, each with a value
// for every key it requires.
var leftOut = map[string]string{
	"mqtt":  `url: "mqtt://127.0.0.1:1883", topic: mail`,
	"amqp":  `url: "amqp://127.0.0.1:5672/", routing_key: mail`,
	"exec":  `command: [/bin/true]`,
	"kafka": `brokers: ["127.0.0.1:9092"], topic: mail`,
	"nats":  `url: "nats://127.0.0.1:4222", subject: mail`,
	"redis": `url: "redis://127.0.0.1:6379/0", stream: mail`,
}

// TestAProgramMayLeaveSinksOut builds one without any of those, and asks it for each.
func TestAProgramMayLeaveSinksOut(t *testing.T) {
	var tags []string
	for kind := range leftOut {
		tags = append(tags, "no_"+kind)
	}
	small := mailtest.BuildBinary(t, "-tags="+strings.Join(tags, ","))
	for kind, keys := range leftOut {
		dir := t.TempDir()
		file := filepath.Join(dir, "postferry.yaml")
		text := "version: 1\nstore: sqlite:x.db\nmailboxes: {m: {server: imaps://imap.example.com, username: u, password: p, backfill: none, deliver: [s]}}\nsinks: {s: {type: " + kind + ", " + keys + "}}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := mailtest.StartProc(t, mailtest.Command{Path: small, Args: []string{"config", "show", "-c", file}})
		code := p.Wait(t, time.Minute)
		if want := "this postferry was built without sinks of type " + kind; code != 78 || !strings.Contains(p.Stderr.String(), want) || strings.Contains(p.Stderr.String(), "unknown key") {
			t.Errorf("%s: %d, %s", kind, code, p.Stderr.String())
		}
	}
}
