package sinks

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/postferry/postferry/internal/expr"
	"github.com/postferry/postferry/parser"
)

// CompileCondition makes a Condition of an expression over message and mailbox
// (docs/routes.md). Its error says what is wrong, where, and what was probably
// meant. The Condition fails only where the expression exceeds a bound, or asks
// for what cannot be computed.
func CompileCondition(source string) (Condition, error) {
	program, err := conditions.Compile(source)
	if err != nil {
		return nil, err
	}
	return func(m *parser.Message, from Origin) (bool, error) {
		return program.Eval(&subject{m, &from})
	}, nil
}

// subject is what a condition is about.
type subject struct {
	Message *parser.Message `json:"message"`
	Mailbox *Origin         `json:"mailbox"`
}

var conditions = expr.New(Functions(func(s *subject) *parser.Message { return s.Message })...)

// Functions are those every expression about a mail may call: has, from, header
// and anyTo (docs/routes.md). of is the mail an E is about.
func Functions[E any](of func(*E) *parser.Message) []expr.Function[E] {
	about := func(f func(*parser.Message, *expr.Meter, []string) (any, error)) func(*E, *expr.Meter, []string) (any, error) {
		return func(env *E, m *expr.Meter, args []string) (any, error) { return f(of(env), m, args) }
	}
	return []expr.Function[E]{
		{Name: "has", Type: (func(text, part string) bool)(nil), Call: about(has)},
		{Name: "from", Type: (func() string)(nil), Call: about(from), Lower: true},
		{Name: "header", Type: (func(name string) string)(nil), Call: about(header), Check: checkHeader},
		{Name: "anyTo", Type: (func(address string) bool)(nil), Call: about(anyTo), Check: checkAnyTo},
	}
}

// has tells whether the text has the part in it, whatever the case of letters.
func has(_ *parser.Message, m *expr.Meter, args []string) (any, error) {
	text, part := args[0], strings.ToLower(args[1])
	if err := m.Made(len(args[1])); err != nil {
		return nil, err
	}
	if err := m.Read(len(text)); err != nil {
		return nil, err
	}
	return containsLower(text, part), nil
}

// window is how much of a text is put in lower case at once, in octets.
const window = 64 << 10

// containsLower is strings.Contains of text in lower case, which is never made
// as a whole where it is long.
func containsLower(text, part string) bool {
	if len(part) > window {
		return strings.Contains(strings.ToLower(text), part)
	}
	seen := ""
	for len(text) > 0 {
		n := min(window, len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		here := seen + strings.ToLower(text[:n])
		if strings.Contains(here, part) {
			return true
		}
		seen, text = here[max(0, len(here)-len(part)):], text[n:]
	}
	return part == ""
}

// from is the address of the first author, in lower case; "" where there is none.
func from(msg *parser.Message, m *expr.Meter, _ []string) (any, error) {
	if len(msg.From) == 0 {
		return "", nil
	}
	address, err := m.Text(msg.From[0].Email)
	return strings.ToLower(address), err
}

// header is the value of the first field of that name; "" where there is none.
func header(msg *parser.Message, m *expr.Meter, args []string) (any, error) {
	if err := m.Read(16 * len(msg.Headers)); err != nil {
		return nil, err
	}
	for _, h := range msg.Headers {
		if strings.EqualFold(h.Name, args[0]) {
			return m.Text(h.Value)
		}
	}
	return "", nil
}

func checkHeader(literals []*string) error {
	if l := literals[0]; l != nil && (*l == "" || strings.ContainsAny(*l, ": \t")) {
		return fmt.Errorf("header wants the name of a header field, without a colon: header(%q)", strings.TrimRight(*l, ": \t"))
	}
	return nil
}

// anyTo tells whether the mail is addressed to that address, or to any address of
// that domain: in To, Cc or Bcc, or by the server that delivered it.
func anyTo(msg *parser.Message, m *expr.Meter, args []string) (any, error) {
	if err := m.Read(64 * (len(msg.To) + len(msg.CC) + len(msg.BCC) + len(msg.DeliveredTo))); err != nil {
		return nil, err
	}
	for _, list := range [][]parser.Address{msg.To, msg.CC, msg.BCC} {
		for _, a := range list {
			if isAddress(a.Email, args[0]) {
				return true, nil
			}
		}
	}
	for _, a := range msg.DeliveredTo {
		if isAddress(a, args[0]) {
			return true, nil
		}
	}
	return false, nil
}

// isAddress compares without regard to case. wanted may be @ and a domain.
func isAddress(address, wanted string) bool {
	if strings.HasPrefix(wanted, "@") {
		at := strings.LastIndexByte(address, '@')
		return at >= 0 && strings.EqualFold(address[at:], wanted)
	}
	return strings.EqualFold(address, wanted)
}

func checkAnyTo(literals []*string) error {
	if l := literals[0]; l != nil && !strings.Contains(*l, "@") {
		return errors.New(`anyTo wants an address, or "@" and a domain, as in anyTo("@example.com")`)
	}
	return nil
}
