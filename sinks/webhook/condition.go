package webhook

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/postferry/postferry/internal/expr"
)

// response is what success_when and fail_when speak of.
type response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"` // under the usual spelling, and in lower case
	Body    any               `json:"body"`    // nil where it is no JSON
	Text    string            `json:"text"`
	header  http.Header
}

var responses = expr.New(
	expr.Function[response]{Name: "header", Type: (func(name string) string)(nil), Call: func(r *response, m *expr.Meter, args []string) (any, error) {
		return m.Text(strings.Join(r.header.Values(args[0]), ", "))
	}},
)

// condition is success_when or fail_when; nil where it is not set.
type condition struct {
	key     string
	program *expr.Program[response]
}

func newCondition(key, source string) (*condition, error) {
	if source == "" {
		return nil, nil
	}
	program, err := responses.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return &condition{key, program}, nil
}

// holds evaluates it. why says what was found, for the record: that it holds,
// that it does not, or why it cannot be told, which then counts as otherwise.
func (c *condition) holds(a *answer, otherwise bool) (holds bool, why string) {
	r := &response{Status: a.status, Text: string(a.octets), Body: a.json(), header: a.header, Headers: make(map[string]string, 2*len(a.header))}
	for name, values := range a.header {
		value := strings.Join(values, ", ")
		r.Headers[name], r.Headers[strings.ToLower(name)] = value, value
	}
	holds, err := c.program.Eval(r)
	switch {
	case err != nil:
		return otherwise, fmt.Sprintf("%s cannot be told of it: %v", c.key, err)
	case holds:
		return true, c.key + " holds of it"
	}
	return false, c.key + " does not hold of it"
}
