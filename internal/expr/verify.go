package expr

import (
	"reflect"
	"time"

	"github.com/expr-lang/expr/ast"
)

// verify looks for fields that do not exist, now that the types are known. It
// walks in the order of the text, so that the first error is the leftmost.
func (c *compiling) verify(n ast.Node) {
	ast.Walk(&n, verifier{c})
}

type verifier struct{ c *compiling }

// Visit implements ast.Visitor.
func (v verifier) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		if name, ok := v.c.written[n]; ok {
			v.field(n, name)
		} else if n.Method {
			v.method(n)
		}
	case *ast.BinaryNode:
		if t := deref(n.Right.Type()); n.Operator == "in" && t.Kind() == reflect.Struct {
			v.c.fail(n, "in wants a list, and this is an object")
		}
	}
}

func (v verifier) field(n *ast.MemberNode, name string) {
	base := deref(n.Node.Type())
	fields, known := v.c.names.fields[base]
	switch {
	case known && fields[name] == "":
		v.c.fail(n, "%q is not a field here%s", name, nearest(name, keysOf(fields)))
	case known:
	case v.c.names.open && (base.Kind() == reflect.Map || base.Kind() == reflect.Interface):
	case base.Kind() == reflect.Slice:
		v.c.fail(n, "%q is asked of a list; ask its elements, as in any(list, .%s == …), or one of them, as in list[0].%s", name, name, name)
	case v.c.names.all[name] == "":
		v.c.fail(n, "%q is not a field of anything%s", name, nearest(name, keysOf(v.c.names.all)))
	case base.Kind() != reflect.Interface:
		v.c.fail(n, "%q is asked of something that has no fields", name)
	}
}

// methods are the types whose methods may be called.
var methods = map[reflect.Type]bool{
	timeType: true, reflect.TypeFor[time.Duration](): true, reflect.TypeFor[time.Weekday](): true, reflect.TypeFor[time.Month](): true,
}

func (v verifier) method(n *ast.MemberNode) {
	if base := deref(n.Node.Type()); !methods[base] && !isTime(base) {
		v.c.fail(n, "only times have methods, as in message.receivedAt.Hour()")
	}
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
