package compose

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

// addressList is a list of addresses with holes, compiled.
//
// How many addresses there are is told from what the operator wrote. A text that
// is one hole is the addresses the hole holds: a list of addresses, or of texts of
// one address each. In any other text a hole fills in a part of one name or one
// address, whatever it holds: commas, brackets and line ends in it separate
// nothing.
type addressList struct {
	elements []addressElement
}

type addressElement struct {
	text  *payload.Text
	shape []parser.Address // with a mark for each hole; nil: the text is one hole
}

// compileAddresses compiles the texts of a list.
func compileAddresses(texts []string) (addressList, error) {
	var l addressList
	for _, source := range texts {
		text, err := payload.CompileText(strings.TrimSpace(source))
		if err != nil {
			return l, err
		}
		e := addressElement{text: text}
		if !text.Whole() {
			if e.shape, err = parseShape(text); err != nil {
				return l, err
			}
		}
		l.elements = append(l.elements, e)
	}
	return l, nil
}

// mark stands for hole n in a shape: an atom that nobody writes.
func mark(n int) string { return "x7holeq" + strconv.Itoa(n) + "z" }

func parseShape(text *payload.Text) ([]parser.Address, error) {
	list, err := parseList(text.With(mark))
	if err != nil && !text.Fixed() {
		return nil, fmt.Errorf("%w; a hole may stand in a name, or be a part of an address without @", err)
	}
	return list, err
}

// fixed are the addresses without holes.
func (l addressList) fixed() []parser.Address {
	var all []parser.Address
	for _, e := range l.elements {
		if e.text.Fixed() {
			all = append(all, e.shape...)
		}
	}
	return all
}

// of are the addresses for one mail. One that no mail can be sent to is an error.
func (l addressList) of(d *sinks.Delivery) ([]parser.Address, error) {
	var all []parser.Address
	for _, e := range l.elements {
		values, err := e.text.Values(d)
		if err != nil {
			return nil, err
		}
		if e.shape == nil {
			list, err := addressesIn(values[0])
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
			continue
		}
		filler, err := fillerOf(values)
		if err != nil {
			return nil, err
		}
		for _, a := range e.shape {
			filled := parser.Address{Email: filler.Replace(a.Email)}
			if a.Name != nil {
				name := filler.Replace(*a.Name)
				filled.Name = &name
			}
			if filled, err = cleaned(filled); err != nil {
				return nil, err
			}
			all = append(all, filled)
		}
	}
	return all, nil
}

// fillerOf puts the texts of values in the places of their marks.
func fillerOf(values []any) (*strings.Replacer, error) {
	pairs := make([]string, 0, 2*len(values))
	for n, v := range values {
		s, err := payload.TextOf(v)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, mark(n), s)
	}
	return strings.NewReplacer(pairs...), nil
}

// addressesIn are the addresses a value is.
func addressesIn(v any) ([]parser.Address, error) {
	var list []parser.Address
	switch v := v.(type) {
	case nil:
		return nil, nil
	case parser.Address:
		list = []parser.Address{v}
	case []parser.Address:
		list = v
	case string:
		if v = strings.TrimSpace(v); v == "" {
			return nil, nil
		}
		list = []parser.Address{{Email: v}}
	case []string:
		for _, s := range v {
			list = append(list, parser.Address{Email: s})
		}
	case []any:
		for _, e := range v {
			if s, ok := e.(*string); ok && s != nil {
				e = *s
			}
			some, err := addressesIn(e)
			if err != nil {
				return nil, err
			}
			list = append(list, some...)
		}
	default:
		return nil, errors.New("it wants an address, a text of one address, or a list of these")
	}
	out := make([]parser.Address, len(list))
	for i, a := range list {
		c, err := cleaned(a)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}
