package expr

import (
	"fmt"
	"reflect"

	"github.com/expr-lang/expr/builtin"
)

// builtins are the functions of expr-lang that conditions may call. Left out are
// those that make large things of small ones (repeat, replace, join, toJSON …),
// the clock (now), and those of no use in a condition.
var builtins = map[string]bool{
	"all": true, "none": true, "any": true, "one": true, "filter": true, "map": true, "count": true, "sum": true,
	"find": true, "findIndex": true, "findLast": true, "findLastIndex": true, "first": true, "last": true, "len": true,
	"lower": true, "upper": true, "trim": true, "trimPrefix": true, "trimSuffix": true, "split": true,
	"indexOf": true, "lastIndexOf": true, "hasPrefix": true, "hasSuffix": true,
	"int": true, "float": true, "abs": true, "ceil": true, "floor": true, "round": true, "min": true, "max": true,
	"date": true, "duration": true, "timezone": true,
}

// ofLists are those of them that go over their first argument.
var ofLists = map[string]bool{
	"all": true, "none": true, "any": true, "one": true, "filter": true, "map": true, "count": true, "sum": true, "find": true,
	"findIndex": true, "findLast": true, "findLastIndex": true, "first": true, "last": true, "len": true,
}

// makesText are those of them whose result is a new text.
var makesText = map[string]bool{"lower": true, "upper": true, "trim": true, "trimPrefix": true, "trimSuffix": true}

// function is a Function without its environment.
type function struct {
	Name  string
	typ   reflect.Type
	check func([]*string) error
	lower bool
}

func newFunction(name string, typ any, check func([]*string) error, lower, apply bool) function {
	t := reflect.TypeOf(typ)
	if t == nil || t.Kind() != reflect.Func || t.NumOut() != 1 || t.IsVariadic() {
		panic(fmt.Sprintf("expr: the type of function %s is not one of a function with one result", name))
	}
	for i := range t.NumIn() {
		if in := t.In(i); in != stringType && !(apply && (in == anyType || in == intType)) {
			panic(fmt.Sprintf("expr: parameter %d of function %s is a %s", i+1, name, in))
		}
	}
	return function{name, t, check, lower}
}

// declared is the function as the checker sees it. It is called under another
// name; see bind.
func (f function) declared() *builtin.Function {
	return &builtin.Function{Name: f.Name, Types: []reflect.Type{f.typ}, Func: func(...any) (any, error) {
		return nil, fmt.Errorf("%s was called without its environment", f.Name)
	}}
}

// bound is the name under which a function is called with its environment. No
// expression can write it.
func bound(name string) string { return "$" + name }

// bind makes the function that is called: the environment comes first.
func (l *Language[E]) bind(f Function[E]) *builtin.Function {
	t := reflect.TypeOf(f.Type)
	in := []reflect.Type{anyType}
	for i := range t.NumIn() {
		in = append(in, t.In(i))
	}
	typ := reflect.FuncOf(in, []reflect.Type{t.Out(0)}, false)
	return &builtin.Function{Name: bound(f.Name), Types: []reflect.Type{typ}, Func: func(args ...any) (any, error) {
		fr, ok := args[0].(*frame[E])
		if !ok {
			return nil, fmt.Errorf("%s was called on %T", f.Name, args[0])
		}
		if err := fr.meter.spend(1); err != nil {
			return nil, err
		}
		if f.Apply != nil {
			return applied(f, fr, args[1:])
		}
		texts := make([]string, len(args)-1)
		for i, a := range args[1:] {
			text, ok := a.(string)
			if !ok && a != nil {
				return nil, fmt.Errorf("%s wants a text, not %s", f.Name, kindOf(a))
			}
			texts[i] = text
		}
		return f.Call(fr.Env, &fr.meter, texts)
	}}
}

var intType = reflect.TypeFor[int]()

// applied calls a function whose parameters have types of their own.
func applied[E any](f Function[E], fr *frame[E], args []any) (any, error) {
	t := reflect.TypeOf(f.Type)
	own := make([]any, len(args))
	for i, a := range args {
		own[i] = follow(a)
		switch t.In(i) {
		case stringType:
			text, ok := own[i].(string)
			if !ok && own[i] != nil {
				return nil, fmt.Errorf("%s wants a text, not %s", f.Name, kindOf(own[i]))
			}
			own[i] = text
		case intType:
			n, ok := own[i].(int)
			if !ok {
				return nil, fmt.Errorf("%s wants a number, not %s", f.Name, kindOf(own[i]))
			}
			own[i] = n
		}
	}
	return f.Apply(fr.Env, &fr.meter, own)
}
