package payload

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/expr"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// holes is the language of holes: that of conditions, and functions that make
// what chats and ticket systems want of what a mail holds (docs/templates.md).
var holes = expr.New(append(sinks.Functions(func(s *scene) *parser.Message { return s.Message }), functions()...)...)

func functions() []expr.Function[scene] {
	type f = expr.Function[scene]
	return []f{
		texts("plain", 1, func(a []string) (string, error) { return parser.HTMLText(a[0], expr.MaxText), nil }),
		texts("escapeHTML", 1, func(a []string) (string, error) { return html.EscapeString(a[0]), nil }),
		texts("escapeMarkdown", 1, func(a []string) (string, error) { return escapeMarkdown(a[0]), nil }),
		texts("escapeMrkdwn", 1, func(a []string) (string, error) { return escapeMrkdwn(a[0]), nil }),
		texts("urlEncode", 1, func(a []string) (string, error) { return url.QueryEscape(a[0]), nil }),
		texts("base64", 1, func(a []string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(a[0])), nil }),
		texts("sha256", 1, func(a []string) (string, error) {
			sum := sha256.Sum256([]byte(a[0]))
			return hex.EncodeToString(sum[:]), nil
		}),
		texts("default", 2, func(a []string) (string, error) {
			if strings.TrimSpace(a[0]) == "" {
				return a[1], nil
			}
			return a[0], nil
		}),
		texts("replace", 3, func(a []string) (string, error) {
			if a[1] == "" {
				return a[0], nil
			}
			if grown := strings.Count(a[0], a[1]) * (len(a[2]) - len(a[1])); len(a[0])+grown > expr.MaxText {
				return "", fmt.Errorf("replace makes a text of more than %d octets", expr.MaxText)
			}
			return strings.ReplaceAll(a[0], a[1], a[2]), nil
		}),
		limited("truncate", func(s string, n int) string { return truncate(s, n, runes) }),
		limited("truncateBytes", func(s string, n int) string { return truncate(s, n, utf8Octets) }),
		limited("truncateUTF16", func(s string, n int) string { return truncate(s, n, utf16Units) }),
		limited("slug", slug),
		limited("markdown", func(s string, n int) string { return marked(s, n, &markdown) }),
		limited("mrkdwn", func(s string, n int) string { return marked(s, n, &mrkdwn) }),
		limited("safeHTML", safeHTML),
		{Name: "lines", Type: (func(text string, n int) string)(nil), Apply: linesOf},
		{Name: "join", Type: (func(list any, between string) string)(nil), Apply: join},
		{Name: "json", Type: (func(value any) string)(nil), Apply: jsonOf},
		{Name: "addresses", Type: (func(list any) string)(nil), Apply: addressesOf},
		{Name: "formatDate", Type: (func(at any, layout, zone string) string)(nil), Apply: formatDate, Check: checkFormatDate},
		{Name: "unix", Type: (func(at any) int)(nil), Apply: func(_ *scene, _ *expr.Meter, args []any) (any, error) {
			at, err := timeAt(args[0])
			if err != nil || at.IsZero() {
				return 0, err
			}
			return int(at.Unix()), nil
		}},
		capture(),
		{Name: "link", Type: (func(part string) string)(nil), Call: func(s *scene, m *expr.Meter, args []string) (any, error) {
			if s.link == nil {
				return "", nil
			}
			return m.Text(s.link(args[0]))
		}},
	}
}

// texts is a function that makes a text of texts.
func texts(name string, n int, make func([]string) (string, error)) expr.Function[scene] {
	types := map[int]any{1: (func(string) string)(nil), 2: (func(a, b string) string)(nil), 3: (func(a, b, c string) string)(nil)}
	return expr.Function[scene]{Name: name, Type: types[n], Call: func(_ *scene, m *expr.Meter, args []string) (any, error) {
		for _, a := range args {
			if err := m.Made(len(a)); err != nil {
				return nil, err
			}
		}
		made, err := make(args)
		if err != nil {
			return nil, err
		}
		return made, m.Made(len(made))
	}}
}

// limited is a function that makes a text of a text, with a length it may have.
func limited(name string, make func(s string, n int) string) expr.Function[scene] {
	return expr.Function[scene]{Name: name, Type: (func(text string, n int) string)(nil), Apply: func(_ *scene, m *expr.Meter, args []any) (any, error) {
		text, n := args[0].(string), args[1].(int)
		if n < 0 {
			return nil, fmt.Errorf("%s wants a length of 0 or more, not %d", name, n)
		}
		if err := m.Made(len(text)); err != nil {
			return nil, err
		}
		made := make(text, n)
		return made, m.Made(len(made))
	}}
}

// linesOf is the first n lines of a text.
func linesOf(_ *scene, m *expr.Meter, args []any) (any, error) {
	text, n := args[0].(string), args[1].(int)
	if err := m.Made(len(text)); err != nil {
		return nil, err
	}
	end := 0
	for ; n > 0 && end < len(text); n-- {
		i := strings.IndexByte(text[end:], '\n')
		if i < 0 {
			return text, nil
		}
		end += i + 1
	}
	return strings.TrimRight(text[:end], "\r\n"), nil
}

func join(_ *scene, m *expr.Meter, args []any) (any, error) {
	list, ok := textsOf(args[0])
	if !ok {
		if list, ok = args[0].([]string); !ok && args[0] != nil {
			return nil, errors.New("join wants a list of texts, as in join(map(message.to, .email), \", \")")
		}
	}
	between, size := args[1].(string), 0
	for _, s := range list {
		size += len(s) + len(between)
	}
	if err := m.Made(size); err != nil {
		return nil, err
	}
	return strings.Join(list, between), nil
}

func jsonOf(_ *scene, m *expr.Meter, args []any) (any, error) {
	b, err := appendValue(nil, args[0])
	if err != nil {
		return nil, err
	}
	return string(b), m.Made(len(b))
}

func addressesOf(_ *scene, m *expr.Meter, args []any) (any, error) {
	var list []parser.Address
	switch v := args[0].(type) {
	case nil:
	case []parser.Address:
		list = v
	case parser.Address:
		list = []parser.Address{v}
	default:
		return nil, errors.New("addresses wants a list of addresses, as in addresses(message.to)")
	}
	text := addressList(list)
	return text, m.Made(len(text))
}

func timeAt(v any) (time.Time, error) {
	if v == nil {
		return time.Time{}, nil
	}
	at, ok := timeOf(v)
	if !ok {
		return at, errors.New("it wants a time, as in message.receivedAt")
	}
	return at, nil
}

// layouts are the names for layouts that need not be written out.
var layouts = map[string]string{
	"date": time.DateOnly, "time": "15:04", "datetime": "2006-01-02 15:04", "rfc3339": time.RFC3339, "rfc5322": "Mon, 2 Jan 2006 15:04:05 -0700",
}

// formatDate writes a time in a zone; a time that is absent is "".
func formatDate(_ *scene, m *expr.Meter, args []any) (any, error) {
	at, err := timeAt(args[0])
	if err != nil || at.IsZero() {
		return "", err
	}
	layout, zone := args[1].(string), args[2].(string)
	if named := layouts[layout]; named != "" {
		layout = named
	}
	if zone != "" {
		in, err := time.LoadLocation(zone)
		if err != nil {
			return nil, fmt.Errorf("formatDate knows no zone %q", zone)
		}
		at = at.In(in)
	}
	text := at.Format(layout)
	return text, m.Made(len(layout) + len(text))
}

func checkFormatDate(literals []*string) error {
	if l := literals[1]; l != nil && layouts[*l] == "" && !strings.ContainsAny(*l, "0123456789JM") {
		return fmt.Errorf(`formatDate wants how to write 2 January 2006, 15:04:05, as in "02.01.2006 15:04", or one of date, time, datetime, rfc3339, rfc5322; not %q`, *l)
	}
	if l := literals[2]; l != nil {
		if _, err := time.LoadLocation(*l); err != nil || *l == "Local" {
			return fmt.Errorf(`formatDate knows no zone %q; write UTC, "" for the time's own, or a name such as Europe/Berlin`, *l)
		}
	}
	if literals[2] == nil {
		return errors.New(`formatDate wants its zone as a literal, as in "Europe/Berlin"`)
	}
	return nil
}

// capture is what a regular expression finds in a text: its first group, or all
// of it where it has none; "" where it finds nothing. It is compiled once.
func capture() expr.Function[scene] {
	known := &patterns{}
	return expr.Function[scene]{
		Name: "capture", Type: (func(text, pattern string) string)(nil),
		Check: func(literals []*string) error {
			if literals[1] == nil {
				return errors.New("capture wants its regular expression as a literal")
			}
			_, err := known.compile(*literals[1])
			return err
		},
		Call: func(_ *scene, m *expr.Meter, args []string) (any, error) {
			if err := m.Made(len(args[0])); err != nil {
				return nil, err
			}
			pattern, err := known.compile(args[1])
			if err != nil {
				return nil, err
			}
			found := pattern.FindStringSubmatch(args[0])
			switch {
			case found == nil:
				return "", nil
			case len(found) > 1:
				return found[1], nil
			}
			return found[0], nil
		},
	}
}
