package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// textOf is what a value is within a text: nothing for nil, RFC 3339 for a time,
// addresses as in a header, a list of texts with commas between, and JSON for
// everything else.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case time.Duration:
		return v.String(), nil
	case fmt.Stringer:
		if t, ok := timeOf(v); ok {
			return t.Format(time.RFC3339), nil
		}
		return v.String(), nil
	case []string:
		return strings.Join(v, ", "), nil
	case parser.Address:
		return addressText(v), nil
	case []parser.Address:
		return addressList(v), nil
	}
	if texts, ok := textsOf(v); ok {
		return strings.Join(texts, ", "), nil
	}
	b, err := appendValue(nil, v)
	return string(b), err
}

// textsOf is a list that holds nothing but texts.
func textsOf(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	texts := make([]string, len(list))
	for i, e := range list {
		switch e := e.(type) {
		case string:
			texts[i] = e
		case *string:
			if e != nil {
				texts[i] = *e
			}
		default:
			return nil, false
		}
	}
	return texts, true
}

// timeOf is the time of a time.Time or a parser.Time.
func timeOf(v any) (time.Time, bool) {
	switch t := v.(type) {
	case time.Time:
		return t, true
	case parser.Time:
		return t.Time, true
	}
	return time.Time{}, false
}

// appendValue appends a value as JSON, under the names expressions use.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return appendString(b, v), nil
	case bool:
		return appendBool(b, v), nil
	case int:
		return appendInt(b, int64(v)), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return b, errors.New("the number is infinite, or none, which JSON cannot say")
		}
		return strconv.AppendFloat(b, v, 'g', -1, 64), nil
	case []string:
		return appendStrings(b, v, true), nil
	case []parser.Address:
		return appendAddresses(b, v), nil
	case []parser.Header:
		return appendHeaders(b, v), nil
	case parser.Message:
		body := newBody("")
		defer body.Release()
		if err := body.appendMessage(&sinks.Delivery{Message: &v}, Options{Attachments: Metadata}); err != nil {
			return b, err
		}
		return append(b, *body.text...), nil
	case []any:
		return appendAny(b, v)
	}
	if t, ok := timeOf(v); ok {
		b = t.AppendFormat(append(b, '"'), time.RFC3339)
		return append(b, '"'), nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return b, fmt.Errorf("a value that has no form in JSON: %w", err)
	}
	return append(b, bytes.TrimSpace(out.Bytes())...), nil
}

func appendAny(b []byte, list []any) (_ []byte, err error) {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if s, ok := e.(*string); ok {
			b = appendStringOrNull(b, s)
			continue
		}
		if b, err = appendValue(b, e); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// addressList is a list of addresses as people read them.
func addressList(list []parser.Address) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = addressText(a)
	}
	return strings.Join(texts, ", ")
}

func addressText(a parser.Address) string {
	if a.Name == nil || *a.Name == "" {
		return a.Email
	}
	return *a.Name + " <" + a.Email + ">"
}
