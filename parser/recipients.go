package parser

import (
	"slices"
	"strings"
)

// deliveredToFields are where servers write whom a mail was delivered to, which
// To and Cc need not say: the last hop's word first.
var deliveredToFields = [...]string{"Delivered-To", "X-Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Rcpt-To", "X-Forwarded-To", "Apparently-To"}

// maxDeliveredTo bounds the list: each hop writes one.
const maxDeliveredTo = 50

// deliveredTo is the addresses the mail was delivered to, as the servers on its
// way wrote them, each once. The "for" of a Received field (RFC 5321 section
// 4.4) is asked where nothing else says it.
func (p *parse) deliveredTo(h header) []string {
	out := []string{}
	add := func(s string) {
		s = strings.Trim(strings.TrimSpace(s), "<>")
		if !isMailbox(s) || len(out) >= maxDeliveredTo {
			return
		}
		// Read in its charset, what looked like an address may be none.
		if s = validUTF8(p.rawText(s, "header Delivered-To")); isMailbox(s) && !containsFold(out, s) {
			out = append(out, s)
		}
	}
	for _, name := range deliveredToFields {
		for value := range h.all(name) {
			for _, e := range splitAddresses(value) {
				_, email, _ := cutAddress(e)
				add(email)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	for value := range h.all("Received") {
		add(receivedFor(value))
	}
	return out
}

func isMailbox(s string) bool {
	return strings.Contains(s, "@") && !strings.ContainsAny(s, " \t,<>") && len(s) <= 320
}

// receivedFor is the "for" clause of a Received field, "" without one.
func receivedFor(v string) string {
	if !hasFor(v) { // most have none, and to read one takes time
		return ""
	}
	v, _, _ = strings.Cut(stripComments(v), ";")
	was := false // the last word was "for"
	for v != "" {
		v = strings.TrimLeft(v, " \t")
		n := strings.IndexAny(v, " \t")
		if n < 0 {
			n = len(v)
		}
		if was {
			return v[:n]
		}
		was = n == len("for") && strings.EqualFold(v[:n], "for")
		v = v[n:]
	}
	return ""
}

// hasFor tells whether "for" stands in s before white space, in any case.
func hasFor(s string) bool {
	for i := 3; i < len(s); i++ {
		if isWSP(s[i]) && s[i-1]|0x20 == 'r' && s[i-2]|0x20 == 'o' && s[i-3]|0x20 == 'f' {
			return true
		}
	}
	return false
}

// recipientTags is the tags of the recipients' addresses ("vip" of
// support+vip@example.com, RFC 5233 section 1): of those the mail was delivered
// to, then of To and Cc.
func (p *parse) recipientTags() []string {
	tags := []string{}
	add := func(email string) {
		local, _, ok := cutLast(email, '@')
		if !ok {
			return
		}
		_, tag, ok := strings.Cut(strings.Trim(local, `"`), "+")
		if ok && tag != "" && len(tags) < maxDeliveredTo && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	for _, email := range p.msg.DeliveredTo {
		add(email)
	}
	for _, list := range [...][]Address{p.msg.To, p.msg.CC} {
		for _, a := range list {
			add(a.Email)
		}
	}
	return tags
}

func cutLast(s string, c byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(t string) bool { return strings.EqualFold(t, s) })
}
