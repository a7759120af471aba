package config_test

import (
	"strings"
	"testing"

	"github.com/postferry/postferry/config"
)

// wordy has a block that a list of words may stand for.
type wordy struct {
	Asks struct {
		Move  bool   `config:"move"`
		Flag  bool   `config:"flag"`
		Reply string `config:"reply"`
	} `config:"asks,words"`
}

func TestAListOfWordsStandsForABlock(t *testing.T) {
	for _, c := range []struct{ fact, asks, want string }{
		{"a list", "[move, flag]", "true true "},
		{"an empty list", "[]", "false false "},
		{"a block", "{move: true, reply: desk}", "true false desk"},
		{"nothing", "", "false false "},
		{"a word that is no switch", "[move, reply]", `: sinks.x.asks[1]: "reply" is none of move, flag`},
		{"a word alone", "move", ": sinks.x.asks: wants"},
		{"a key that is none", "{mov: true}", "sinks.x.asks.mov: unknown key; did you mean"},
		{"a block in a list", "[{reply: desk}]", ": sinks.x.asks[0]: wants"},
	} {
		t.Chdir(write(t, map[string]string{"a.yaml": "version: 1\nmailboxes: {}\nsinks:\n  x:\n    type: webhook\n    url: https://a.example/\n    asks: " + c.asks + "\n"}))
		cfg, err := config.Load([]string{"a.yaml"}, config.Options{})
		if cfg == nil {
			t.Fatalf("%s: %v", c.fact, err)
		}
		var own wordy
		err = cfg.Sinks[0].Section.Decode(&own)
		a := own.Asks
		got := strings.TrimSpace(strings.Join([]string{yes(a.Move), yes(a.Flag), a.Reply}, " "))
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, strings.TrimSpace(c.want)) {
			t.Errorf("%s: %s, not %s", c.fact, got, c.want)
		}
	}
}

func TestAKeyThatIsReadTwiceIsNamedOnce(t *testing.T) {
	t.Chdir(write(t, map[string]string{"a.yaml": "version: 1\nmailboxes: {}\nsinks:\n  x: {type: webhook, zebra: 1}\n"}))
	cfg, err := config.Load([]string{"a.yaml"}, config.Options{})
	if cfg == nil {
		t.Fatal(err)
	}
	for range 2 {
		var own wordy
		if err := cfg.Sinks[0].Section.Decode(&own); err != nil {
			t.Fatal(err)
		}
	}
	if err := cfg.Finish(); err == nil || strings.Count(err.Error(), "asks") != 1 {
		t.Error(err)
	}
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
