package amqp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// FuzzWhatABrokerSays: whatever ends a channel is an error that a log can show, and
// blames a mail for nothing but its own size.
func FuzzWhatABrokerSays(f *testing.F) {
	f.Add(uint16(amqp.PreconditionFailed), "PRECONDITION_FAILED - message size 5 is larger than configured max size 4", false)
	f.Add(uint16(amqp.PreconditionFailed), "message size 5 is larger than configured max size 99999999999999999999", true)
	f.Add(uint16(amqp.NotFound), "NOT_FOUND - no exchange 'Password-of-ours' in vhost '/'\r\n\x1b[2J", false)
	f.Add(uint16(amqp.AccessRefused), "\xff", true)
	f.Fuzz(func(t *testing.T, code uint16, reason string, made bool) {
		o := Options{URL: "amqp://ferry:Password-of-ours@127.0.0.1", Exchange: "mail"}
		if made {
			o.Exchange = "{{ mailbox.name }}"
		}
		s := makeSink(t, o)
		c := &session{why: &amqp.Error{Code: int(code), Reason: reason}}
		err := s.lost(t.Context(), c, address{"mail", ""}, &queue.Message{Body: []byte("hello")})
		said := fmt.Sprintf("%v %+v", err, err)
		if err == nil || sinks.IsPermanent(err) || strings.Contains(said, "Password-of-ours") || strings.ContainsFunc(said, unicode.IsControl) {
			t.Errorf("%d %q: %q", code, reason, said)
		}
		var large *tooLargeError
		if sinks.IsMailFault(err) != errors.As(err, &large) || large != nil && (large.limit < 0 || !strings.Contains(reason, "message size 5 ")) {
			t.Errorf("%d %q blames the mail: %q", code, reason, said)
		}
	})
}
