package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postferry/postferry/parser"
)

// Withheld says that an answer is not given, and why. It is no failure: the
// delivery ends, with the reason as its record.
type Withheld struct{ Reason string }

// Error implements error.
func (w *Withheld) Error() string { return "not answered: " + w.Reason }

func withheld(format string, args ...any) error {
	return &Withheld{clip(oneLine(fmt.Sprintf(format, args...)), 300)}
}

const (
	// traceField names the mailboxes and sinks a mail went through, or the mail it is
	// about did: one field for each.
	traceField = "X-Postferry-Trace"
	// mostPasses is how many of them a mail may have; mostReceived, how many Received
	// fields. RFC 5321, section 6.3, counts these; 50 is what Postfix allows.
	mostPasses   = 3
	mostReceived = 50
)

// circles tells what shows that a mail goes round in circles; "" is nothing. own
// is the trace of the sink.
func circles(m *parser.Message, own string) string {
	passes, received := 0, 0
	for _, h := range m.Headers {
		switch {
		case strings.EqualFold(h.Name, "Received"):
			received++
		case strings.EqualFold(h.Name, traceField):
			if passes++; h.Value == own {
				return "the mail, or one it answers, was sent by this sink already (" + traceField + ")"
			}
		}
	}
	switch {
	case passes >= mostPasses:
		return fmt.Sprintf("the mail went through postferry %d times already (%s)", passes, traceField)
	case received > mostReceived:
		return fmt.Sprintf("the mail has %d Received fields, more than %d", received, mostReceived)
	}
	return ""
}

// traces are the fields that a mail about m carries on.
func traces(m *parser.Message, own string) header {
	var h header
	for _, f := range m.Headers {
		if strings.EqualFold(f.Name, traceField) && len(h.fields) < mostPasses && isToken(f.Value) {
			h.add(traceField, f.Value)
		}
	}
	h.add(traceField, own)
	return h
}

func isToken(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// unanswerable tells why a mail is not to be answered by a program; "" is that it
// may be (RFC 3834, section 2; RFC 5230, section 4.6).
func unanswerable(m *parser.Message) string {
	if a := m.Automated; a.Is {
		kind, reason := "automated", ""
		if a.Kind != nil {
			kind = *a.Kind
		}
		if a.Reason != nil {
			reason = " (" + *a.Reason + ")"
		}
		return "the mail is automated: " + kind + reason
	}
	senders := slices.Concat(m.From, m.Sender, m.ReplyTo)
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, "Return-Path") {
			senders = append(senders, parser.Address{Email: strings.Trim(h.Value, "<> ")})
		}
	}
	for _, a := range senders {
		if isRobot(a.Email) {
			return "nobody reads " + a.Email
		}
	}
	return ""
}

// isRobot tells the addresses behind which no person is.
func isRobot(address string) bool {
	local, _, _ := strings.Cut(strings.ToLower(address), "@")
	local, _, _ = strings.Cut(local, "+")
	switch strings.NewReplacer("-", "", "_", "", ".", "").Replace(local) {
	case "mailerdaemon", "postmaster", "listserv", "majordomo", "noreply", "donotreply", "notreply", "nepasrepondre", "noresponder", "daemon", "bounce", "bounces", "autoreply", "autoresponder":
		return true
	}
	for _, end := range [...]string{"-request", "-owner", "-bounces", "-bounce", "-relay", "-errors", "-noreply", "-no-reply", ".noreply"} {
		if strings.HasSuffix(local, end) {
			return true
		}
	}
	for _, begin := range [...]string{"owner-", "noreply-", "no-reply-", "donotreply-", "bounce-", "bounces-", "bounce="} {
		if strings.HasPrefix(local, begin) {
			return true
		}
	}
	return false
}

// acknowledgementID ends the left part of the Message-ID of an acknowledgement, by
// which an answer to one is known.
const acknowledgementID = ".ack"

// acknowledged tells whether the mail answers an acknowledgement of this domain.
func acknowledged(m *parser.Message, domain string) bool {
	for _, id := range slices.Concat(m.InReplyTo, m.References) {
		left, right, _ := strings.Cut(id, "@")
		if strings.EqualFold(right, domain) && strings.HasPrefix(left, "msg_") && strings.HasSuffix(left, acknowledgementID) {
			return true
		}
	}
	return false
}
