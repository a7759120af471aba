package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// advice is what to do about errors of a server that are the same for every mail,
// by the word they begin with (the server's source, src/server.c createSharedObjects).
var advice = map[string]string{
	"WRONGPASS":   "check username and password, in url or as keys of their own",
	"NOAUTH":      "set username and password",
	"NOPERM":      "let the user do this: ACL SETUSER … +xadd +ping ~STREAM, and +wait or +waitaof where wait is set",
	"READONLY":    "this is a replica, which takes no writes: name the primary in url",
	"OOM":         "the server's memory is full: raise its maxmemory, or set max_len or max_age where old entries may go",
	"MISCONF":     "the server cannot write to its disk, and says why in its log",
	"LOADING":     "the server reads its data and will be ready by itself",
	"MASTERDOWN":  "the replica has lost its primary: name the primary in url",
	"CLUSTERDOWN": "part of the cluster is not served: see CLUSTER INFO",
	"MOVED":       "the server is one of a cluster, and the stream belongs to another: name that one in url",
	"ASK":         "the stream is being moved to another server of the cluster",
	"CROSSSLOT":   "the server is one of a cluster: name the server that has the stream in url",
	"NOREPLICAS":  "fewer replicas are connected than min-replicas-to-write asks for",
	"DENIED":      "the server runs in protected mode: give it a password, or bind it to the loopback interface",
}

// grade says whose fault an error is that came instead of an entry's id.
func (s *Sink) grade(err error) error {
	var said redis.Error
	var short *unconfirmedError
	switch {
	case errors.As(err, &short):
		// Every attempt adds the entry once more, so only the probe makes some.
		return sinks.SinkFault(fmt.Errorf("adding to a stream of %s: %w — bring the replicas back, or ask for less in wait", s.target, err))
	case !errors.As(err, &said):
		// Whether the entry was added is not known.
		return fmt.Errorf("adding to a stream of %s: %s", s.target, s.clean(err))
	}
	text := s.clean(err)
	word, _, _ := strings.Cut(text, " ")
	answered := &sinks.AttemptError{Detail: word, Answer: text, Err: fmt.Errorf("%s answered %s", s.target, text)}
	lower := strings.ToLower(text)
	switch hint := advice[word]; {
	case hint != "":
		return sinks.SinkFault(hinted(answered, hint))
	case word == "WRONGTYPE" && s.stream.Fixed():
		return sinks.SinkFault(hinted(answered, "there is something else under this name: choose another stream"))
	case word == "WRONGTYPE":
		return sinks.MailFault(answered)
	case strings.Contains(lower, "bulk length"), strings.Contains(lower, "query buffer"):
		return sinks.Permanent(hinted(answered, "the server takes no entry of this size: raise its proto-max-bulk-len, or send less with attachments: metadata"))
	case strings.Contains(lower, "waitaof") && strings.Contains(lower, "unknown command"):
		return sinks.SinkFault(hinted(answered, "wait.fsync needs Redis 7.2"))
	case strings.Contains(lower, "appendonly is disabled"):
		return sinks.SinkFault(hinted(answered, "wait.fsync needs a server with appendonly yes"))
	case strings.Contains(lower, "max number of clients"):
		return sinks.SinkFault(hinted(answered, "raise the server's maxclients"))
	case strings.Contains(lower, "unknown command"):
		return sinks.SinkFault(hinted(answered, "streams need Redis 5"))
	}
	return answered
}

func hinted(a *sinks.AttemptError, hint string) error {
	return &sinks.AttemptError{Detail: a.Detail, Answer: a.Answer, Err: fmt.Errorf("%w — %s", a.Err, hint)}
}

// unconnected grades a connection that could not be made.
func (s *Sink) unconnected(ctx context.Context, err error) error {
	var said redis.Error
	if !errors.As(err, &said) || ctx.Err() != nil {
		return queue.Unconnected(ctx, s.target.String(), err, s.mask, "")
	}
	graded := s.grade(err)
	if sinks.IsPermanent(graded) || sinks.IsSinkFault(graded) {
		return graded
	}
	return sinks.SinkFault(graded)
}

// clean is an error in words, harmless to show.
func (s *Sink) clean(err error) string { return s.mask.Clean(err.Error()) }

// isLast tells the answers after which the server closes the connection.
func isLast(said redis.Error) bool {
	return strings.Contains(said.Error(), "Protocol error") || strings.Contains(said.Error(), "max number of clients")
}
