package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// longestTopic is how long a topic may be, in octets (MQTT 5, section 1.5.4).
const longestTopic = 65_535

// compileTopic compiles a topic, whose holes each fill one level, or part of one.
func compileTopic(source string) (*payload.Text, error) {
	if source == "" {
		return nil, config.At("topic", errors.New("is missing: the topic to publish under"))
	}
	t, err := payload.CompileText(source)
	if err != nil {
		return nil, config.At("topic", err)
	}
	if err := checkTopic(t.With(func(int) string { return "x" })); err != nil {
		return nil, config.At("topic", err)
	}
	return t, nil
}

// checkTopic refuses what is no name of a topic (MQTT 5, sections 4.7.1 and 4.7.3),
// and what is the broker's own (section 4.7.2).
func checkTopic(s string) error {
	switch {
	case s == "" || len(s) > longestTopic:
		return fmt.Errorf("has %d octets, and not 1 to %d", len(s), longestTopic)
	case strings.ContainsAny(s, "+#"):
		return errors.New("has + or #, which only stand where one subscribes")
	case strings.HasPrefix(s, "$"):
		return errors.New("begins with $, under which only the broker publishes")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("has characters that control, or is no UTF-8")
	}
	return nil
}

// level is a text of a mail as it may stand in a topic: it begins no other level,
// and is no wildcard. Nothing at all is "_", as a level without a name is hard to
// subscribe to.
func level(s string) string {
	s = strings.Map(func(r rune) rune {
		switch r {
		case '/', '+', '#', '$', utf8.RuneError:
			return '_'
		}
		return r
	}, queue.Value(s))
	if s == "" {
		return "_"
	}
	return s
}

// topicOf is the topic for one mail. Its error is the mail's fault.
func topicOf(t *payload.Text, d *sinks.Delivery) (string, error) {
	topic, err := t.Fill(d, level)
	if err == nil {
		err = checkTopic(topic)
	}
	if err != nil {
		return "", sinks.Permanent(fmt.Errorf("making the topic of this mail: %w", err))
	}
	return topic, nil
}
