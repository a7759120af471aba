package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// errNoAnswer ends the wait for a confirmation.
var errNoAnswer = errors.New("no confirmation came in time")

// clean is a text of the server or the library without secrets and harmless to show.
func (s *Sink) clean(err error) string { return s.mask.Clean(err.Error()) }

// unconnected grades a connection that could not be made.
func (s *Sink) unconnected(parent context.Context, err error) error {
	return queue.Unconnected(parent, s.target.hosts, err, s.mask, advice(err))
}

// isSignIn tells that the server knows not who we are.
func isSignIn(err error) bool {
	for _, e := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.Contains(strings.ToLower(err.Error()), "authentication")
}

// isTLS tells that client and server do not trust one another.
func isTLS(err error) bool {
	return errors.Is(err, nats.ErrTLS) || queue.IsTLS(err)
}

// advice is what to do about a connection that cannot be made.
func advice(err error) string {
	var dns *net.DNSError
	switch {
	case isSignIn(err):
		return "check username and password, token, nkey or creds, whichever the server asks for"
	case errors.As(err, &dns):
		return "check the host in url, and this machine's name server"
	case isTLS(err):
		return "check the server's certificate and the sink's tls; if it is your own CA, name it in tls.ca_file; if the server asks for a certificate, set tls.client_cert and tls.client_key"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the server speaks no TLS; write nats://, with insecure: true where it is another machine"
	}
	return "check url, and that the server runs"
}

// The codes of JetStream's errors that are looked at (nats-server, server/errors.json).
const (
	codeInsufficientResources = 10023
	codeNotEnabledForAccount  = 10039
	codeStorageExceeded       = 10047
	codeMessageTooLarge       = 10054
	codeWrongStream           = 10060
	codeNotEnabled            = 10076
	codeStoreFailed           = 10077
	codeSealed                = 10109
)

// graded says whose fault it is that a message was not confirmed.
func (s *Sink) graded(parent context.Context, subject string, wait time.Duration, err error) error {
	to := "publishing to " + dial.Printable(subject)
	var denied *deniedError
	var answer *jetstream.APIError
	switch {
	case parent.Err() != nil: // shutting down: nothing is known of the server
		return fmt.Errorf("%s: %w", to, context.Cause(parent))
	case errors.As(err, &denied):
		return s.blame(fmt.Errorf("%s: %s — let the user publish to this subject", to, s.clean(err)))
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return s.blame(fmt.Errorf("%s: no stream takes this subject, so nothing would keep the mail — add it to a stream (nats stream add), or turn JetStream on", to))
	case errors.Is(err, errNoAnswer):
		return fmt.Errorf("%s: no confirmation within %s; whether the message is stored is not known", to, wait)
	case errors.Is(err, nats.ErrMaxPayload):
		return sinks.Permanent(fmt.Errorf("%s: the message is larger than the server's max_payload", to))
	case errors.As(err, &answer):
		return s.refused(to, answer)
	}
	return fmt.Errorf("%s: %s", to, s.clean(err))
}

// blame holds the sink, unless the subject is made of the mail, so that another
// mail may well be taken.
func (s *Sink) blame(err error) error {
	if s.subject.Fixed() {
		return sinks.SinkFault(err)
	}
	return err
}

// refused grades an answer of JetStream's.
func (s *Sink) refused(to string, a *jetstream.APIError) error {
	said := s.clean(errors.New(a.Description))
	fail := &sinks.AttemptError{Detail: fmt.Sprint(a.ErrorCode), Answer: said, Err: fmt.Errorf("%s: JetStream answered %d, %s", to, a.ErrorCode, said)}
	hint := func(text string) { fail.Err = fmt.Errorf("%w — %s", fail.Err, text) }
	switch a.ErrorCode {
	case codeMessageTooLarge:
		hint("raise the stream's max_msg_size, or set max_size to it so that attachments become links")
		return sinks.Permanent(fail)
	case codeStoreFailed, codeStorageExceeded, codeInsufficientResources:
		hint("the stream is full or its disk is: make room, or raise its limits; nothing is lost meanwhile")
		return s.blame(fail)
	case codeWrongStream:
		hint("another stream takes this subject than the one stream names")
		return s.blame(fail)
	case codeNotEnabled, codeNotEnabledForAccount:
		hint("turn JetStream on, for the account too")
		return sinks.SinkFault(fail)
	case codeSealed:
		hint("the stream takes nothing any more: choose another")
		return s.blame(fail)
	}
	return fail
}
