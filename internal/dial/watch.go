package dial

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"os"
	"strings"
	"time"
)

// watch makes the net package tell the record of names looked up and
// connections tried.
func (r *Record) watch(ctx context.Context, s Server) context.Context {
	if r == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSDone: func(info httptrace.DNSDoneInfo) {
			if info.Err != nil {
				return
			}
			var all []string
			for _, a := range info.Addrs {
				all = append(all, a.String())
			}
			r.Said("%s has the address %s", s.Host, strings.Join(all, ", "))
			r.Begin(StepTCP)
		},
		ConnectStart: func(string, string) {
			if r.Current() == StepDNS {
				r.Said("%s is an address", s.Host)
				r.Begin(StepTCP)
			}
		},
	})
}

// StepTimeout is the error of a step that took longer than it may.
func StepTimeout(s Server, step string, after time.Duration) *Error {
	e := &Error{Stage: strings.ToLower(step), Err: fmt.Errorf("no answer within %s: %w", after, os.ErrDeadlineExceeded)}
	switch step {
	case StepToken:
		e.Hint = "the authorisation server is slow or hangs; check that this machine reaches it over HTTPS"
	case StepDNS:
		e.Hint = resolverHint
	case StepTCP:
		e.Hint = silentPortHint(after)
	case StepTLS:
		e.Hint = silentTLSHint
	case StepGreeting:
		e.Hint = s.SilenceHint()
	default:
		e.Hint = "the server is slow or hangs; try again, or ask its operator"
	}
	return e
}

// SilenceHint is what to change where a server was connected to and does not
// greet. A server that expects TLS from the first octet waits for the client.
func (s Server) SilenceHint() string {
	secure := strings.TrimSuffix(s.Scheme, "s") + "s"
	switch {
	case s.Mode == Implicit:
		return "TLS works, but no mail server speaks behind it; check the port in server"
	case s.Port == schemes[secure].port:
		return fmt.Sprintf("port %s speaks TLS: use %s://", s.Port, secure)
	}
	return fmt.Sprintf("if the server expects TLS on port %s, use %s://; else check the port in server", s.Port, secure)
}
