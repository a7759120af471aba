package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/postferry/postferry/sinks"
)

// answer is an error as the library has it from a server.
type answer string

func (a answer) Error() string { return string(a) }

// RedisError implements redis.Error.
func (answer) RedisError() {}

// FuzzWhatAServerSays: whatever it answers is an error that a log can show, and only
// one that speaks of a size is the end of a mail.
func FuzzWhatAServerSays(f *testing.F) {
	f.Add("OOM command not allowed when used memory > 'maxmemory'.")
	f.Add("ERR Protocol error: invalid bulk length")
	f.Add("WRONGTYPE Password-of-ours\r\n\x1b[2J")
	f.Add("\xff ")
	f.Add("")
	f.Fuzz(func(t *testing.T, said string) {
		s := makeSink(t, Options{URL: "redis://ferry:Password-of-ours@127.0.0.1", Stream: "mail"})
		err := s.grade(answer(said))
		shown := fmt.Sprintf("%v %+v", err, err)
		if err == nil || strings.Contains(shown, "Password-of-ours") || strings.ContainsFunc(shown, unicode.IsControl) {
			t.Errorf("%q: %q", said, shown)
		}
		lower := strings.ToLower(said)
		if sinks.IsPermanent(err) && !strings.Contains(lower, "bulk length") && !strings.Contains(lower, "query buffer") || sinks.IsMailFault(err) && !sinks.IsPermanent(err) {
			t.Errorf("%q blames the mail: %q", said, shown)
		}
		var answered *sinks.AttemptError
		if !errors.As(err, &answered) || strings.ContainsFunc(answered.Answer+answered.Detail, unicode.IsControl) {
			t.Errorf("%q: %+v", said, answered)
		}
	})
}
