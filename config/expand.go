package config

import (
	"errors"
	"fmt"
	"strings"
)

const (
	maxExpanded  = 1 << 20 // octets a value may have after expansion
	maxReference = 16      // ${A:-${B:-…}} within each other
)

// expansion is a text with its references replaced.
type expansion struct {
	text string
	vars []string // the variables looked at, in order
}

// expand replaces the references to variables in text: ${VAR}, ${VAR:-text},
// ${VAR:?text}. $${ stands for ${ and any other $ for itself. What a variable
// holds is not expanded again. As in a POSIX shell, the forms with a colon take
// an empty variable for one that is not set.
func expand(text string, lookup func(string) (string, bool)) (expansion, error) {
	x := expander{lookup: lookup}
	out, err := x.text(text, 0)
	return expansion{out, x.vars}, err
}

type expander struct {
	lookup func(string) (string, bool)
	vars   []string
}

func (x *expander) text(s string, depth int) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	if depth > maxReference {
		return "", fmt.Errorf("more than %d references within each other", maxReference)
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		if !found {
			b.WriteString(s)
			break
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before[:len(before)-1] + "${")
			s = rest
			continue
		}
		end := closing(rest)
		if end < 0 {
			return "", errors.New("${ without its }; write $${ for the two characters themselves")
		}
		value, err := x.reference(rest[:end], depth)
		if err != nil {
			return "", err
		}
		b.WriteString(before + value)
		if b.Len() > maxExpanded {
			return "", fmt.Errorf("longer than %d MiB once expanded", maxExpanded>>20)
		}
		s = rest[end+1:]
	}
	return b.String(), nil
}

// closing finds the } that ends a reference, over references within it.
func closing(s string) int {
	open := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			open++
		case s[i] == '}' && open == 0:
			return i
		case s[i] == '}':
			open--
		}
	}
	return -1
}

// reference gives the value of what stands between ${ and }.
func (x *expander) reference(inside string, depth int) (string, error) {
	name, operand, modified := strings.Cut(inside, ":")
	if !isVariable(name) {
		return "", fmt.Errorf("${%s} is not a reference: a name of letters, digits and _ belongs in it, then :-default or :?message; write $${ for the two characters themselves", shorten(inside))
	}
	x.vars = append(x.vars, name)
	value, set := x.lookup(name)
	switch {
	case !modified && !set:
		return "", fmt.Errorf("${%s} is not set; set the variable %s, or give a default: ${%s:-text}, or write $${%s} for the text itself", name, name, name, name)
	case !modified:
		return value, nil
	case strings.HasPrefix(operand, "-"):
		if value != "" {
			return value, nil
		}
		return x.text(operand[1:], depth+1)
	case strings.HasPrefix(operand, "?"):
		if value != "" {
			return value, nil
		}
		return "", x.missing(name, operand[1:])
	}
	return "", fmt.Errorf("${%s:%s}: after the colon stands -default or ?message", name, shorten(operand))
}

func (x *expander) missing(name, message string) error {
	if message == "" {
		return fmt.Errorf("${%s} is not set or empty; set the variable %s", name, name)
	}
	return fmt.Errorf("${%s} is not set or empty: %s", name, message)
}

func isVariable(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// shorten keeps a word of an error to a length that can be read.
func shorten(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
