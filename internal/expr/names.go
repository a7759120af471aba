package expr

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/file"
)

// names knows the JSON names of everything an environment holds.
type names struct {
	variables map[string]string                  // of the environment: JSON name to Go name
	types     map[string]reflect.Type            // of the variables, without pointer
	fields    map[reflect.Type]map[string]string // of every struct in it
	all       map[string]string                  // of all structs together
	words     *strings.Replacer                  // Go types in messages to words
	open      bool                               // a variable has fields that only its value knows: a map, or any
}

func newNames[E any]() *names {
	n := &names{fields: map[reflect.Type]map[string]string{}, all: map[string]string{}}
	env := reflect.TypeFor[E]()
	if env.Kind() != reflect.Struct {
		panic(fmt.Sprintf("expr: the environment %s is not a struct", env))
	}
	n.variables, n.types = map[string]string{}, map[string]reflect.Type{}
	for i := range env.NumField() {
		f := env.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		n.variables[name], n.types[name] = f.Name, deref(f.Type)
		n.open = n.open || f.Type.Kind() == reflect.Map || f.Type.Kind() == reflect.Interface
		n.add(f.Type)
	}
	n.words = n.replacer()
	return n
}

// add learns the fields of a type and of all it leads to.
func (n *names) add(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || n.fields[t] != nil || isTime(t) {
		return
	}
	fields := map[string]string{}
	n.fields[t] = fields
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		if other, ok := n.all[name]; ok && other != f.Name {
			panic(fmt.Sprintf("expr: the name %s stands for the Go fields %s and %s", name, other, f.Name))
		}
		fields[name], n.all[name] = f.Name, f.Name
		n.add(f.Type)
	}
}

// isTime tells time.Time and structs made of one alone.
func isTime(t reflect.Type) bool {
	return t == timeType || t.Kind() == reflect.Struct && t.NumField() == 1 && t.Field(0).Type == timeType && t.Field(0).Anonymous
}

var timeType = reflect.TypeFor[time.Time]()

// replacer puts words for the types of Go, which the reader of a message need
// not know.
func (n *names) replacer() *strings.Replacer {
	var pairs []string
	for t := range n.fields {
		pairs = append(pairs, "[]"+t.String(), "list", "*"+t.String(), "object", t.String(), "object")
	}
	// Where one is the beginning of another the longer one counts.
	types := make([][2]string, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		types = append(types, [2]string{pairs[i], pairs[i+1]})
	}
	slices.SortFunc(types, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
	pairs = pairs[:0]
	for _, t := range types {
		pairs = append(pairs, t[0], t[1])
	}
	pairs = append(pairs, "map[string]string", "object", "[]string", "list", "[]interface {}", "list", "*string", "text", "string", "text",
		"*time.Time", "time", "time.Time", "time", "*uint32", "number", "uint32", "number", "int64", "number", "float64", "number", "int", "number")
	return strings.NewReplacer(pairs...)
}

// polish makes an *Error of what expr-lang says.
func (n *names) polish(err error, source string) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var located *file.Error
	if !errors.As(err, &located) {
		return &Error{Message: n.plain(err.Error())}
	}
	e := &Error{Line: located.Line, Column: located.Column + 1, Message: n.plain(located.Message)}
	if e.Line == 0 || source == "" {
		e.Line, e.Column = 0, 0
	}
	return e
}

func (n *names) plain(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	message = strings.TrimSpace(strings.ReplaceAll(message, "to call $", "to call "))
	switch {
	case strings.HasPrefix(message, "expected bool, but got "):
		return "the expression gives " + n.words.Replace(strings.TrimPrefix(message, "expected bool, but got ")) + " instead of true or false"
	case strings.HasPrefix(message, "invalid operation"), strings.HasPrefix(message, "cannot use"), strings.HasPrefix(message, "type "),
		strings.HasPrefix(message, "builtin "), strings.HasPrefix(message, "predicate "), strings.HasPrefix(message, "array elements"),
		strings.HasPrefix(message, "cannot slice"), strings.HasPrefix(message, "non-bool"), strings.HasPrefix(message, "invalid argument"):
		return n.words.Replace(message)
	}
	return message
}

// nearest completes a message about an unknown name: the one that was most
// likely meant, or all there are.
func nearest(word string, known []string) string {
	best, bestAt := "", 1+max(1, len(word)/3)
	slices.Sort(known)
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if len(word) >= 3 && strings.HasPrefix(strings.ToLower(k), strings.ToLower(word)) {
			d = min(d, 1)
		}
		if d < bestAt {
			best, bestAt = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; known here: " + strings.Join(known, ", ")
}

func keysOf(m map[string]string) []string { return slices.Collect(maps.Keys(m)) }

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that make a of b; words of more than 64 octets are far from all.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := last[j-1]
			if a[i-1] != b[j-1] {
				cost++
			}
			row[j] = min(last[j]+1, row[j-1]+1, cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
