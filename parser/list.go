package parser

import (
	"slices"
	"strings"
)

// maxListAddresses bounds the addresses of one list field.
const maxListAddresses = 20

// list reads what a mailing list says of itself (RFC 2369, RFC 2919).
func (p *parse) list(h header) *List {
	l := List{Unsubscribe: []string{}}
	if raw, ok := h.get("List-ID"); ok {
		id := raw
		if open := strings.LastIndexByte(raw, '<'); open >= 0 { // a description may stand before it
			id, _, _ = strings.Cut(raw[open+1:], ">")
		}
		l.ID = optional(oneLine(p.rawText(id, "header List-ID")))
	}
	if raw, ok := h.get("List-Unsubscribe"); ok {
		l.Unsubscribe = listAddresses(raw)
	}
	if raw, ok := h.get("List-Post"); ok {
		if addresses := listAddresses(raw); len(addresses) > 0 {
			l.Post = &addresses[0]
		}
	}
	if l.ID == nil && l.Post == nil && len(l.Unsubscribe) == 0 {
		return nil
	}
	return &l
}

// listAddresses reads the URLs in angle brackets of a list field, most wanted
// first (RFC 2369 section 2). "NO", and anything a program must not follow, is
// none.
func listAddresses(raw string) []string {
	out := []string{}
	add := func(u string) {
		u = strings.Join(strings.Fields(validUTF8(u)), "") // RFC 2369 section 2: white space inside does not count
		scheme, _, ok := strings.Cut(u, ":")
		if ok && slices.Contains([]string{"http", "https", "mailto"}, strings.ToLower(scheme)) && len(out) < maxListAddresses {
			out = append(out, u)
		}
	}
	rest := stripComments(raw)
	if !strings.Contains(rest, "<") {
		for _, u := range strings.Split(rest, ",") {
			add(u)
		}
		return out
	}
	for {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			return out
		}
		u, tail, ok := strings.Cut(after, ">")
		if !ok {
			return out
		}
		add(u)
		rest = tail
	}
}
