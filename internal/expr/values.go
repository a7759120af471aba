package expr

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/expr-lang/expr/builtin"
)

// internals are the functions guard puts into an expression. Each gets the
// environment's Meter, and one argument; $at gets two, $step none.
var internals = map[string]func(m *Meter, args []any) (any, error){
	"$step":  func(m *Meter, _ []any) (any, error) { return nil, m.spend(1) },
	"$text":  text,
	"$scan":  scan,
	"$made":  made,
	"$time":  moment,
	"$bool":  func(_ *Meter, args []any) (any, error) { b, _ := follow(args[0]).(bool); return b, nil },
	"$int":   integer,
	"$list":  list,
	"$index": index,
	"$at":    func(_ *Meter, args []any) (any, error) { return at(args[0], args[1]) },
}

// declare makes the internal function known to the checker, for that many
// arguments and with a result of type out, and returns the name to call it by.
func (c *compiling) declare(name string, args int, out reflect.Type) string {
	if out == nil {
		out = anyType
	}
	unique := name + " " + out.String()
	if c.config.Functions[unique] != nil {
		return unique
	}
	in := slices.Repeat([]reflect.Type{anyType}, 1+args)
	call := internals[name]
	c.config.Functions[unique] = &builtin.Function{
		Name: name, Types: []reflect.Type{reflect.FuncOf(in, []reflect.Type{out}, false)},
		Func: func(args ...any) (any, error) {
			env, ok := args[0].(interface{ budget() *Meter })
			if !ok {
				return nil, fmt.Errorf("%s was called on %T", name, args[0])
			}
			return call(env.budget(), args[1:])
		},
	}
	return unique
}

var anyType = reflect.TypeFor[any]()

// follow is what a pointer leads to; nil where it leads nowhere.
func follow(v any) any {
	switch p := v.(type) {
	case nil, string, bool, int:
		return v
	case *string:
		if p == nil {
			return nil
		}
		return *p
	}
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return nil
		}
		r = r.Elem()
	}
	return r.Interface()
}

func text(m *Meter, args []any) (any, error) {
	s, ok := follow(args[0]).(string)
	if !ok {
		return "", nil
	}
	return m.Text(s)
}

func scan(m *Meter, args []any) (any, error) {
	s, ok := follow(args[0]).(string)
	if !ok {
		return args[0], nil
	}
	return s, m.Made(len(s))
}

// made counts a text or a list that was made just now.
func made(m *Meter, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return v, m.Made(len(v))
	case []string:
		return v, m.spend(len(v))
	}
	return args[0], nil
}

func moment(_ *Meter, args []any) (any, error) {
	v := follow(args[0])
	if v == nil {
		return time.Time{}, nil
	}
	if t, ok := v.(time.Time); ok {
		return t, nil
	}
	t, ok := reflect.ValueOf(v).Field(0).Interface().(time.Time)
	if !ok {
		return nil, fmt.Errorf("%T is not a time", v)
	}
	return t, nil
}

func integer(_ *Meter, args []any) (any, error) {
	v := follow(args[0])
	if v == nil {
		return 0, nil
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return int(r.Int()), nil
	case r.CanUint():
		return int(r.Uint()), nil
	}
	return nil, fmt.Errorf("%T is not a number", v)
}

// index is -1 where nothing was found.
func index(_ *Meter, args []any) (any, error) {
	if i, ok := args[0].(int); ok {
		return i, nil
	}
	return -1, nil
}

func list(_ *Meter, args []any) (any, error) {
	if args[0] == nil {
		return []any{}, nil
	}
	return args[0], nil
}

// at is an element of a list, from its end where i is negative; nil where there
// is none.
func at(list, i any) (any, error) {
	if list == nil {
		return nil, nil
	}
	r, index := reflect.ValueOf(list), reflect.ValueOf(i)
	if r.Kind() != reflect.Slice {
		return nil, fmt.Errorf("%s is not a list", kindOf(list))
	}
	if !index.CanInt() {
		return nil, fmt.Errorf("the number of an element is %s", kindOf(i))
	}
	n := index.Int()
	if n < 0 {
		n += int64(r.Len())
	}
	if n < 0 || n >= int64(r.Len()) {
		return nil, nil
	}
	return r.Index(int(n)).Interface(), nil
}
