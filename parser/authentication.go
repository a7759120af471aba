package parser

import (
	"slices"
	"strings"
)

// authentication reads the results of checks that a server the operator trusts
// has written into the mail (RFC 8601). A field counts only where its
// authserv-id is one of Limits.AuthservIDs (section 5); anybody can write the
// others. Of several the topmost holds: it was added last, by the nearest
// server.
func (p *parse) authentication(h header) Authentication {
	var a Authentication
	for value := range h.all("Authentication-Results") {
		id, clauses := "", []string(nil)
		if head, _, _ := strings.Cut(value, ";"); !strings.ContainsAny(head, "(\"") && !p.trusted(authservID(head)) {
			id = authservID(head) // the rest need not be read
		} else {
			id, clauses = authClauses(value)
		}
		if !p.trusted(id) {
			p.problemOnce(ProblemForgedAuthserv, "header Authentication-Results", "the authserv-id \""+clip(id, 80)+"\" is not trusted")
			continue
		}
		if a.Trusted {
			continue
		}
		a.Trusted = true
		a.SPF = authResult(clauses, "spf", prefersMailFrom)
		a.DKIM = authResult(clauses, "dkim", prefersPass)
		a.DMARC = authResult(clauses, "dmarc", prefersFirst)
	}
	return a
}

func (p *parse) trusted(id string) bool {
	return slices.ContainsFunc(p.lim.AuthservIDs, func(t string) bool { return t != "" && strings.EqualFold(t, id) })
}

// authClauses parts a field into its authserv-id and its results (RFC 8601
// section 2.2). Comments are left out, and quoted strings are emptied, so that
// nothing in either can pass for a result.
func authClauses(v string) (id string, clauses []string) {
	v = stripComments(v)
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '"' {
			end := closingQuote(v, i+1)
			if end < 0 {
				break // nothing after a quote that never closes is believed
			}
			if b.Len() == 0 {
				b.WriteString(v[i+1 : end]) // the authserv-id may be quoted
			} else {
				b.WriteString(`""`)
			}
			i = end
			continue
		}
		b.WriteByte(v[i])
	}
	clauses = strings.Split(b.String(), ";")
	if id = authservID(clauses[0]); id == "" {
		return "", nil
	}
	return id, clauses[1:]
}

// authservID is the identifier before the first semicolon; "" where it is none.
func authservID(head string) string {
	words := strings.Fields(head)
	if len(words) == 0 || len(words) > 1 && words[1] != "1" || len(words) > 2 { // a version may follow
		return ""
	}
	return words[0]
}

// authResults are the results of RFC 8601 section 2.7.
var authResults = []string{"none", "pass", "fail", "policy", "neutral", "temperror", "permerror", "softfail", "hardfail"}

// authResult is the result of a method. Where it stands more than once, better
// tells whether a clause holds rather than the one before it.
func authResult(clauses []string, method string, better func(value, clause string) bool) *string {
	var found *string
	for _, c := range clauses {
		name, rest, ok := strings.Cut(c, "=")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, "/") // the method's version
		if !strings.EqualFold(strings.TrimSpace(name), method) {
			continue
		}
		words := strings.Fields(rest)
		if len(words) == 0 {
			continue
		}
		value := strings.ToLower(words[0])
		if slices.Contains(authResults, value) && (found == nil || better(value, rest)) {
			found = &value
		}
	}
	return found
}

// prefersPass is for DKIM, which has a result for each signature: one that is
// good suffices (RFC 6376 section 6.1).
func prefersPass(value, _ string) bool { return value == "pass" }

// prefersMailFrom is for SPF, which may have been asked about the greeting too
// (RFC 8601 section 2.7.2).
func prefersMailFrom(_, clause string) bool {
	return strings.Contains(strings.ToLower(clause), "smtp.mailfrom")
}

func prefersFirst(string, string) bool { return false }
