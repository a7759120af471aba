package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
)

// compiling is one expression on its way. It is gone over three times: resolve
// puts Go names for JSON names, verify looks at the names once types are known,
// and guard makes the absent empty and counts the work.
type compiling struct {
	names     *names
	functions map[string]function
	config    *conf.Config
	lets      []string
	written   map[*ast.MemberNode]string // fields, as the expression has them
	roots     map[ast.Node]bool          // the variables
	err       *file.Error                // the first
}

func (c *compiling) fail(at ast.Node, format string, args ...any) {
	if c.err == nil {
		c.err = &file.Error{Location: at.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

// resolve returns the node with the names of Go.
func (c *compiling) resolve(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return c.variable(n)
	case *ast.UnaryNode:
		n.Node = c.resolve(n.Node)
	case *ast.BinaryNode:
		n.Left, n.Right = c.resolve(n.Left), c.resolve(n.Right)
		if _, literal := n.Right.(*ast.StringNode); n.Operator == "matches" && !literal {
			c.fail(n, "matches wants its regular expression as a literal")
		}
		c.lower(n)
	case *ast.ChainNode:
		n.Node = c.resolve(n.Node)
	case *ast.MemberNode:
		n.Node = c.resolve(n.Node)
		if name, ok := n.Property.(*ast.StringNode); !ok {
			n.Property = c.resolve(n.Property)
		} else if !n.Method {
			c.field(n, name)
		}
	case *ast.SliceNode:
		n.Node = c.resolve(n.Node)
		if n.From != nil {
			n.From = c.resolve(n.From)
		}
		if n.To != nil {
			n.To = c.resolve(n.To)
		}
	case *ast.CallNode:
		c.call(n)
	case *ast.BuiltinNode:
		if !builtins[n.Name] {
			c.fail(n, "the function %s cannot be used in a condition", n.Name)
		}
		c.resolveAll(n.Arguments)
		if (n.Name == "first" || n.Name == "last") && len(n.Arguments) != 1 {
			c.fail(n, "%s wants one list", n.Name)
		}
		if _, literal := slices.Concat(n.Arguments, []ast.Node{nil})[0].(*ast.StringNode); n.Name == "timezone" && !literal {
			c.fail(n, `timezone wants its name as a literal, as in timezone("Europe/Berlin")`)
		}
	case *ast.PredicateNode:
		n.Node = c.resolve(n.Node)
	case *ast.VariableDeclaratorNode:
		n.Value = c.resolve(n.Value)
		if c.names.variables[n.Name] != "" || c.functions[n.Name].Name != "" {
			c.fail(n, "cannot redeclare %s", n.Name)
		}
		c.lets = append(c.lets, n.Name)
		n.Expr = c.resolve(n.Expr)
		c.lets = c.lets[:len(c.lets)-1]
	case *ast.SequenceNode:
		c.resolveAll(n.Nodes)
	case *ast.ConditionalNode:
		n.Cond, n.Exp1, n.Exp2 = c.resolve(n.Cond), c.resolve(n.Exp1), c.resolve(n.Exp2)
	case *ast.ArrayNode:
		c.resolveAll(n.Nodes)
	case *ast.MapNode, *ast.BytesNode:
		c.fail(n, "a condition has no use for this")
	}
	return n
}

func (c *compiling) resolveAll(list []ast.Node) {
	for i := range list {
		list[i] = c.resolve(list[i])
	}
}

// variable puts Env.Message for message.
func (c *compiling) variable(n *ast.IdentifierNode) ast.Node {
	if slices.Contains(c.lets, n.Value) {
		return n
	}
	name, ok := c.names.variables[n.Value]
	if !ok {
		c.fail(n, "unknown name %q%s", n.Value, c.hint(n.Value))
		return n
	}
	env, field := &ast.IdentifierNode{Value: "Env"}, &ast.StringNode{Value: name}
	root := &ast.MemberNode{Node: env, Property: field}
	for _, part := range []ast.Node{env, field, root} {
		part.SetLocation(n.Location())
	}
	if c.roots == nil {
		c.roots = map[ast.Node]bool{}
	}
	c.roots[root] = true
	return root
}

// hint says what an unknown name may have been meant to be: a variable, a
// function, or the field of a variable.
func (c *compiling) hint(word string) string {
	for _, variable := range slices.Sorted(maps.Keys(c.names.variables)) {
		if c.names.fields[c.names.types[variable]][word] != "" {
			return fmt.Sprintf("; did you mean %q?", variable+"."+word)
		}
	}
	return nearest(word, append(keysOf(c.names.variables), slices.Collect(maps.Keys(c.functions))...))
}

// field renames a member, and remembers what was written.
func (c *compiling) field(n *ast.MemberNode, name *ast.StringNode) {
	if c.written == nil {
		c.written = map[*ast.MemberNode]string{}
	}
	c.written[n] = name.Value
	if field, ok := c.names.all[name.Value]; ok {
		name.Value = field
	}
}

// call resolves the call of one of our functions, or of a method of time.
func (c *compiling) call(n *ast.CallNode) {
	c.resolveAll(n.Arguments)
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		f, ok := c.functions[callee.Value]
		if !ok {
			known := append(slices.Collect(maps.Keys(c.functions)), slices.Collect(maps.Keys(builtins))...)
			c.fail(n, "unknown function %q%s", callee.Value, nearest(callee.Value, known))
			return
		}
		switch given, wanted := len(n.Arguments), f.typ.NumIn(); {
		case given < wanted:
			c.fail(n, "not enough arguments to call %s", f.Name)
		case given > wanted:
			c.fail(n, "too many arguments to call %s", f.Name)
		}
		if f.check == nil || c.err != nil {
			return
		}
		literals := make([]*string, len(n.Arguments))
		for i, a := range n.Arguments {
			if s, ok := a.(*ast.StringNode); ok {
				literals[i] = &s.Value
			}
		}
		if err := f.check(literals); err != nil {
			c.fail(n, "%v", err)
		}
	case *ast.MemberNode:
		callee.Node = c.resolve(callee.Node)
	default:
		c.fail(n, "only a function can be called")
	}
}

// lower puts the literals in lower case that are compared with a text in lower
// case.
func (c *compiling) lower(n *ast.BinaryNode) {
	switch n.Operator {
	case "==", "!=", "in", "contains", "startsWith", "endsWith", "matches":
	default:
		return
	}
	left, right := c.isLower(n.Left), c.isLower(n.Right)
	if !left && !right {
		return
	}
	for _, side := range []ast.Node{n.Left, n.Right} {
		literals := []ast.Node{side}
		if list, ok := side.(*ast.ArrayNode); ok {
			literals = list.Nodes
		}
		for _, l := range literals {
			s, ok := l.(*ast.StringNode)
			switch {
			case ok && n.Operator == "matches":
				s.Value = "(?i)" + s.Value
			case ok:
				s.Value = strings.ToLower(s.Value)
			}
		}
	}
}

func (c *compiling) isLower(n ast.Node) bool {
	call, ok := n.(*ast.CallNode)
	if !ok {
		return false
	}
	callee, ok := call.Callee.(*ast.IdentifierNode)
	return ok && c.functions[callee.Value].lower
}
