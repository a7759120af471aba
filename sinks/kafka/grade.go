package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// errNoAnswer ends the wait for a confirmation.
var errNoAnswer = errors.New("no confirmation came in time")

// clean is a text of a broker or the library without secrets and harmless to show.
func (s *Sink) clean(err error) string { return s.mask.Clean(err.Error()) }

// unconnected grades brokers that cannot be reached.
func (s *Sink) unconnected(parent context.Context, err error) error {
	return queue.Unconnected(parent, s.brokers, err, s.mask, s.advice(err))
}

// isSignIn tells that a broker knows not who we are.
func isSignIn(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism) || errors.Is(err, kerr.IllegalSaslState) ||
		strings.Contains(strings.ToLower(err.Error()), "sasl")
}

// isCut tells that the broker has closed the connection without a word.
func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), "EOF")
}

// advice is what to do about brokers that cannot be reached.
func (s *Sink) advice(err error) string {
	var dns *net.DNSError
	switch {
	case isSignIn(err):
		return "check username, password and auth"
	case queue.IsTLS(err):
		return "check the brokers' certificates and the sink's tls; if it is your own CA, name it in tls.ca_file; if the brokers ask for a certificate, set tls.client_cert and tls.client_key"
	case errors.As(err, &dns):
		return "check the hosts in brokers, and this machine's name server"
	case isCut(err) && s.secure:
		return "the broker closed the connection: it may speak no TLS at this port, or want a sign-in (username, password, auth)"
	case isCut(err):
		return "the broker closed the connection: it may want TLS (tls), or a sign-in (username, password, auth)"
	}
	return "check brokers, and that they run"
}

// graded says whose fault it is that a record was not confirmed. limited is the
// context of this delivery, within parent.
func (s *Sink) graded(parent, limited context.Context, topic string, wait time.Duration, err error) error {
	to := "producing to " + dial.Printable(topic)
	switch {
	case parent.Err() != nil: // shutting down: nothing is known of the brokers
		return fmt.Errorf("%s: %w", to, context.Cause(parent))
	case limited.Err() != nil:
		return fmt.Errorf("%s: no confirmation within %s; whether the record is stored is not known", to, wait)
	}
	var answer *kerr.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: %s", to, s.clean(err))
	}
	fail := &sinks.AttemptError{Detail: answer.Message, Answer: s.clean(err), Err: fmt.Errorf("%s: %s", to, s.clean(err))}
	hint := func(text string) { fail.Err = fmt.Errorf("%w — %s", fail.Err, text) }
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		s.works.Store(true) // of the brokers it says nothing bad
		hint("raise max.message.bytes of the topic, or set max_size to it so that attachments become links")
		return sinks.Permanent(fail)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		hint("make the topic: kafka-topics.sh --create")
		return s.blame(fail)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		hint("let the user write to the topic")
		return s.blame(fail)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		hint("let the user write idempotently (IdempotentWrite on the cluster)")
		return sinks.SinkFault(fail)
	case errors.Is(err, kerr.InvalidTopicException):
		return s.blame(fail)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return s.unconnected(parent, err)
	case errors.Is(err, kerr.KafkaStorageError):
		hint("look at the disks of the brokers")
		return s.blame(fail)
	}
	return fail
}

// blame holds the sink, unless the topic is made of the mail, so that another mail
// may well be taken.
func (s *Sink) blame(err error) error {
	if s.topic.Fixed() {
		return sinks.SinkFault(err)
	}
	return err
}
