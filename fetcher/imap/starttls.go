package imap

import (
	"bufio"
	"context"
	"errors"
	"strings"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
)

// clearLines bounds what a server may say before TLS.
const clearLines = 100

const startTLSHint = "use imaps:// if the server offers it; insecure: true gives up encryption"

// startTLS reads the greeting and upgrades (RFC 3501 section 6.2.1). It is done
// here and not by imapclient, so that the guard stands above TLS, and so that
// nothing said in clear text reaches the session: PREAUTH, capabilities,
// octets after the OK. What hide finds in the server's words is not shown.
func (s *Source) startTLS(ctx context.Context, conn connection, hide *dial.Hider) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	op := "securing the connection to " + s.o.Server.Address()
	refuse := func(cause fetcher.Cause, hint, format string, args ...any) error {
		return fetcher.Errorf(cause, op, hint, format, args...)
	}
	show := func(text string) string { return dial.Printable(hide.Clean(text)) }
	record := dial.RecordOf(ctx)
	record.Begin(dial.StepGreeting)
	r := bufio.NewReaderSize(conn, 4<<10)
	greeting, err := clearLine(r)
	if err != nil {
		return fetcher.Unheard(endedBy(ctx, op, err), s.o.Server)
	}
	switch kind, text := statusOf(greeting); kind {
	case "OK":
	case "PREAUTH": // RFC 9051 section 7.1.4: it would make STARTTLS impossible
		return refuse(fetcher.Untrusted, startTLSHint, "the server declares the session signed in before TLS")
	case "BYE":
		return refuse(fetcher.Temporary, "", "BYE %s", show(text))
	default:
		return refuse(fetcher.Protocol, "check the port in server", "%q is no IMAP greeting", show(greeting))
	}
	record.Begin(dial.StepTLS)
	if _, err := conn.Write([]byte("S1 STARTTLS\r\n")); err != nil {
		return endedBy(ctx, op, err)
	}
	answer := ""
	for n := 0; ; n++ {
		if answer, err = clearLine(r); err != nil {
			return endedBy(ctx, op, err)
		}
		if rest, ok := strings.CutPrefix(answer, "S1 "); ok {
			answer = rest
			break
		}
		if n == clearLines {
			return refuse(fetcher.Protocol, startTLSHint, "no answer to STARTTLS in %d lines", clearLines)
		}
	}
	if kind, _ := statusOf("* " + answer); kind != "OK" {
		return refuse(fetcher.Untrusted, startTLSHint, "the server refuses STARTTLS: %s", show(answer))
	}
	injected, _ := r.Peek(r.Buffered())
	if err := conn.Upgrade(ctx, s.tls, injected...); err != nil {
		return fetcher.DialError(ctx, op, err)
	}
	return nil
}

// clearLine reads a line of at most 4 KiB.
func clearLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		err = violatef("a line of more than %d octets before TLS", r.Size())
	}
	return strings.TrimRight(string(line), "\r\n"), unexpected(err)
}

// statusOf takes an untagged status response apart.
func statusOf(line string) (kind, text string) {
	line, ok := strings.CutPrefix(line, "* ")
	if !ok {
		return "", ""
	}
	kind, text, _ = strings.Cut(line, " ")
	return strings.ToUpper(kind), text
}

// endedBy is the error of a connection that ended before TLS.
func endedBy(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cause := fetcher.Unreachable
	if _, ok := errors.AsType[*violation](err); ok {
		cause = fetcher.Protocol
	}
	return &fetcher.Error{Radius: fetcher.SessionRadius, Cause: cause, Op: op, Err: err}
}
