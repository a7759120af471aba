package imap

import (
	"bytes"
	"strconv"
	"strings"
)

// begin judges the first line of a response.
func (g *guard) begin(line []byte) error {
	text := bytes.TrimRight(line, "\r\n")
	switch {
	case len(bytes.TrimSpace(text)) == 0, len(text) == 1 && text[0] == '*':
		return g.drop(-1)
	case text[0] == '+':
		if len(line) > maxStatus {
			return violatef("a continuation request of %d octets", len(line))
		}
		if a := g.aside.Load(); a != nil {
			a.says("+", nil)
			return g.drop(-1)
		}
		return g.pass(line, fresh, -1)
	case !bytes.HasPrefix(text, []byte("* ")):
		return g.tagged(line, text)
	}
	kind, rest := word(text[2:])
	number, numbered := uint64(0), isNumber(kind)
	if numbered {
		var err error
		if number, err = strconv.ParseUint(string(kind), 10, 32); err != nil {
			return g.unknown(text)
		}
		kind, rest = word(rest)
	}
	switch strings.ToUpper(string(kind)) {
	case "FETCH":
		if a := g.aside.Load(); a != nil && a.fetched != nil && a.fetched(rest) {
			return g.drop(-1)
		}
		if number > 0 {
			return g.fetch(line, text)
		}
	case "EXISTS":
		if numbered && len(rest) == 0 {
			call(g.onExists, int64(number))
			return g.pass(line, fresh, -1)
		}
	case "EXPUNGE": // imapclient takes 0 for the end of the answer
		if number > 0 && len(rest) == 0 {
			if g.onExpunge != nil {
				g.onExpunge()
			}
			return g.pass(line, fresh, -1)
		}
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		if !numbered {
			return g.status(line, kind, rest)
		}
	case "CAPABILITY":
		if !numbered && !g.settled.Load() {
			return g.data(line, text)
		}
	case "FLAGS", "LIST", "SEARCH", "ESEARCH", "NAMESPACE":
		if !numbered {
			return g.data(line, text)
		}
	}
	// RFC 3501 section 2.2.2: a client is ready for any response at all times.
	// ID is here on purpose: imapclient keeps a stale error after reading it.
	return g.unknown(text)
}

// tagged judges the end of an answer.
func (g *guard) tagged(line, text []byte) error {
	tag, rest := word(text)
	kind, rest := word(rest)
	switch strings.ToUpper(string(kind)) {
	case "OK", "NO", "BAD":
	default:
		return violatef("%q where a response was expected", clip(text))
	}
	if len(line) > maxStatus || !closesCode(rest) {
		return violatef("%q is not a status response", clip(text))
	}
	g.lines, g.answer = 0, 0
	g.asked.Store(0)
	if string(tag) == "DONE" { // it came as the server ended IDLE by itself, and is taken for a command
		return g.drop(-1)
	}
	if a := g.aside.Load(); a != nil && a.tag == string(tag) {
		a.says(strings.ToUpper(string(kind)), rest)
		return g.drop(-1)
	}
	if _, changes := cutItem(rest, "[CAPABILITY"); changes && g.settled.Load() {
		line = append(line[:len(text)-len(rest)], "\r\n"...)
	}
	return g.pass(line, fresh, -1)
}

// status judges an untagged status response. One whose response code does not
// end in its line would make imapclient search for the bracket in what follows.
func (g *guard) status(line, kind, rest []byte) error {
	if len(line) > maxStatus || !closesCode(rest) {
		return g.drop(-1)
	}
	call(g.onStatus, string(clip(kind))+" "+string(clip(rest)))
	if _, changes := cutItem(rest, "[CAPABILITY"); changes && g.settled.Load() {
		return g.drop(-1)
	}
	return g.pass(line, fresh, -1)
}

// data judges a response that may hold lists, strings and small literals.
func (g *guard) data(line, text []byte) error {
	literal, err := g.scan(text)
	switch {
	case err == errMalformed:
		return g.drop(-1)
	case err != nil:
		return err
	case literal > maxLiteral:
		return violatef("a literal of %d octets outside a mail", literal)
	case literal >= 0:
		return g.pass(line, passing, literal)
	case g.depth != 0:
		return g.drop(-1)
	}
	return g.pass(line, fresh, -1)
}

// unknown drops a response of a type this program has no use for.
func (g *guard) unknown(text []byte) error {
	literal, err := g.scan(text)
	if err == errMalformed {
		return g.drop(-1)
	}
	if err != nil {
		return err
	}
	return g.drop(literal)
}

// resume judges a line after a literal.
func (g *guard) resume(line []byte) error {
	text := bytes.TrimRight(line, "\r\n")
	literal, err := g.scan(text)
	if g.open == dropping {
		if err == errMalformed {
			literal, err = -1, nil
		}
		if err != nil {
			return err
		}
		return g.drop(literal)
	}
	if err == errMalformed || err == nil && literal < 0 && g.depth != 0 {
		return violatef("%q after a literal", clip(text))
	}
	if err != nil {
		return err
	}
	if g.open == fetching {
		return g.fetchTail(line, text, literal)
	}
	if literal > maxLiteral {
		return violatef("a literal of %d octets outside a mail", literal)
	}
	if literal >= 0 {
		return g.pass(line, passing, literal)
	}
	return g.pass(line, fresh, -1)
}

// errMalformed is a line with an unfinished quoted string or too many closing
// parentheses.
var errMalformed = violatef("malformed line")

// scan walks over one line outside literals, minds quoted strings and
// parentheses, and returns the size of the literal that follows the line, or -1.
func (g *guard) scan(text []byte) (literal int64, err error) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			if g.depth++; g.depth > maxDepth {
				return -1, violatef("parentheses nested deeper than %d", maxDepth)
			}
		case c == ')':
			if g.depth--; g.depth < 0 {
				return -1, errMalformed
			}
		}
	}
	if quoted { // RFC 3501 section 4.3: no CR or LF in a quoted string
		return -1, errMalformed
	}
	return literalSize(text)
}

// literalSize reads the "{n}" that ends a line (RFC 3501 section 4.3).
func literalSize(text []byte) (int64, error) {
	if len(text) == 0 || text[len(text)-1] != '}' {
		return -1, nil
	}
	at := bytes.LastIndexByte(text, '{')
	if at < 0 || !isNumber(text[at+1:len(text)-1]) {
		return -1, nil
	}
	n, err := strconv.ParseInt(string(text[at+1:len(text)-1]), 10, 64)
	if err != nil || n > maxBody {
		return -1, violatef("a literal of %s octets", clip(text[at+1:len(text)-1]))
	}
	return n, nil
}

// closesCode reports whether the response code of a status text, if it has one,
// ends in the same line.
func closesCode(rest []byte) bool {
	return len(rest) == 0 || rest[0] != '[' || bytes.IndexByte(rest, ']') > 0
}

func call[T any](f func(T), v T) {
	if f != nil {
		f(v)
	}
}

// word cuts the first word off.
func word(text []byte) (first, rest []byte) {
	first, rest, _ = bytes.Cut(text, []byte(" "))
	return first, rest
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// clip bounds foreign text in errors.
func clip(b []byte) []byte { return b[:min(len(b), 200)] }
