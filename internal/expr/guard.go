package expr

import (
	"reflect"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker/nature"
)

// guard returns the node so changed that nothing absent makes it fail and that
// its work is counted. raw is set where absence is asked for (a comparison with
// nil), or harmless (a field is taken of it): then nothing is put in its place.
func (c *compiling) guard(n ast.Node, raw bool) ast.Node {
	switch n := n.(type) {
	case *ast.MemberNode:
		return c.present(c.member(n), raw)
	case *ast.ChainNode:
		n.Node = c.guard(n.Node, true)
		return c.present(n, raw)
	case *ast.PointerNode:
		return c.present(n, raw)
	case *ast.UnaryNode:
		n.Node = c.guard(n.Node, false)
	case *ast.BinaryNode:
		return c.binary(n, raw)
	case *ast.SliceNode:
		n.Node = c.guard(n.Node, false)
		if n.From != nil {
			n.From = c.guard(n.From, false)
		}
		if n.To != nil {
			n.To = c.guard(n.To, false)
		}
	case *ast.CallNode:
		return c.guardCall(n)
	case *ast.BuiltinNode:
		return c.present(c.builtin(n), raw)
	case *ast.PredicateNode:
		body := c.guard(n.Node, false)
		n.Node = like(n.Node, &ast.SequenceNode{Nodes: []ast.Node{c.internal(n, "$step", anyType), body}})
	case *ast.VariableDeclaratorNode:
		n.Value, n.Expr = c.guard(n.Value, false), c.guard(n.Expr, raw)
	case *ast.SequenceNode:
		for i := range n.Nodes {
			n.Nodes[i] = c.guard(n.Nodes[i], raw)
		}
	case *ast.ConditionalNode:
		n.Cond, n.Exp1, n.Exp2 = c.guard(n.Cond, false), c.guard(n.Exp1, true), c.guard(n.Exp2, true)
		return c.present(n, raw)
	case *ast.ArrayNode:
		for i := range n.Nodes {
			n.Nodes[i] = c.guard(n.Nodes[i], false)
		}
	}
	return n
}

// member guards a field or an element.
func (c *compiling) member(n *ast.MemberNode) ast.Node {
	if c.roots[n] {
		return n
	}
	if _, ok := n.Property.(*ast.StringNode); !ok {
		return c.internal(n, "$at", n.Type(), c.guard(n.Node, false), c.guard(n.Property, false))
	}
	n.Node = c.guard(n.Node, true)
	if c.isPresent(n.Node) {
		return n
	}
	n.Optional = true
	return like(n, &ast.ChainNode{Node: n})
}

// isPresent tells objects that are always there: the variables, elements within
// a loop, and objects within such objects.
func (c *compiling) isPresent(n ast.Node) bool {
	if c.roots[n] {
		return n.Type().Kind() != reflect.Interface
	}
	switch n := n.(type) {
	case *ast.PointerNode:
		return n.Type().Kind() == reflect.Struct
	case *ast.MemberNode:
		return n.Type().Kind() == reflect.Struct && c.isPresent(n.Node)
	}
	return false
}

// binary guards an operation.
func (c *compiling) binary(n *ast.BinaryNode, raw bool) ast.Node {
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	free := n.Operator == "??" || (n.Operator == "==" || n.Operator == "!=") && (leftNil || rightNil)
	n.Left, n.Right = c.guard(n.Left, free), c.guard(n.Right, free)
	switch n.Operator {
	case "contains", "startsWith", "endsWith":
		n.Left, n.Right = c.certain("$text", n.Left), c.certain("$text", n.Right)
	case "??":
		return c.present(n, raw)
	case "matches":
		n.Left = c.certain("$text", n.Left)
		n.Left = c.internal(n.Left, "$scan", stringType, n.Left)
	case "+":
		if t := n.Type(); t.Kind() == reflect.String || t.Kind() == reflect.Interface {
			return c.internal(n, "$made", t, n)
		}
	}
	return n
}

// guardCall guards the call of a function or method; it never gives nil.
func (c *compiling) guardCall(n *ast.CallNode) ast.Node {
	args := make([]ast.Node, len(n.Arguments))
	for i, a := range n.Arguments {
		args[i] = c.guard(a, false)
	}
	if callee, ok := n.Callee.(*ast.MemberNode); ok {
		callee.Node, n.Arguments = c.guard(callee.Node, false), args
		if n.Type().Kind() == reflect.String {
			return c.internal(n, "$made", stringType, n)
		}
		return n
	}
	return call(n, bound(n.Callee.(*ast.IdentifierNode).Value), args...)
}

// builtin guards a function of expr-lang.
func (c *compiling) builtin(n *ast.BuiltinNode) ast.Node {
	for i, a := range n.Arguments {
		n.Arguments[i] = c.guard(a, false)
	}
	if len(n.Arguments) > 0 {
		switch absent := "$list"; {
		case makesText[n.Name], n.Name == "split":
			absent = "$text"
			fallthrough
		case ofLists[n.Name]:
			n.Arguments[0] = c.certain(absent, n.Arguments[0])
		}
	}
	switch {
	case makesText[n.Name], n.Name == "split":
		return c.internal(n, "$made", n.Type(), n)
	case n.Name == "first", n.Name == "last":
		at := &ast.IntegerNode{Value: 0}
		if n.Name == "last" {
			at.Value = -1
		}
		at.SetType(reflect.TypeFor[int]())
		list, element := n.Arguments[0], anyType
		if typeOf(list).Kind() == reflect.Slice {
			nature := list.Nature().Elem(new(nature.Cache))
			element = nature.Type
		}
		return c.internal(n, "$at", element, list, at)
	}
	return n
}

// certain puts the empty text or list in the place of a value of which only
// the evaluation knows what it is, where it is absent.
func (c *compiling) certain(internal string, n ast.Node) ast.Node {
	t := typeOf(n)
	if !c.names.open || t == nil || t.Kind() != reflect.Interface {
		return n
	}
	if internal == "$text" {
		t = stringType
	}
	return c.internal(n, internal, t, n)
}

// present puts the empty value of its kind in the place of one that may be
// absent, and counts the reading of texts.
func (c *compiling) present(n ast.Node, raw bool) ast.Node {
	if raw {
		return n
	}
	t := typeOf(n)
	_, member := n.(*ast.MemberNode)
	plain := member && t.Kind() != reflect.Pointer
	if call, ok := n.(*ast.BuiltinNode); ok {
		switch call.Name {
		case "findIndex", "findLastIndex":
			return c.internal(n, "$index", reflect.TypeFor[int](), n)
		case "find", "findLast":
		default:
			return n // it never gives nil
		}
	}
	switch base := deref(t); {
	case base.Kind() == reflect.String:
		return c.internal(n, "$text", stringType, n)
	case isTime(base):
		return c.internal(n, "$time", timeType, n)
	case plain:
		return n
	case base.Kind() == reflect.Bool:
		return c.internal(n, "$bool", reflect.TypeFor[bool](), n)
	case isInteger(base.Kind()):
		return c.internal(n, "$int", reflect.TypeFor[int](), n)
	case base.Kind() == reflect.Slice:
		return c.internal(n, "$list", t, n)
	}
	return n
}

// typeOf is the type of a node, also of a call that was made just now.
func typeOf(n ast.Node) reflect.Type {
	if call, ok := n.(*ast.CallNode); ok && call.Callee.Type().Kind() == reflect.Func {
		return call.Callee.Type().Out(0)
	}
	return n.Type()
}

func isInteger(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uint64 }

var stringType = reflect.TypeFor[string]()

// internal makes the call of one of the internals, with a result of type out.
func (c *compiling) internal(at ast.Node, name string, out reflect.Type, args ...ast.Node) ast.Node {
	n := call(at, c.declare(name, len(args), out), args...)
	n.Callee.SetType(c.config.Functions[n.Callee.(*ast.IdentifierNode).Value].Types[0])
	return n
}

// call makes a call with the environment first.
func call(at ast.Node, name string, args ...ast.Node) *ast.CallNode {
	callee, env := &ast.IdentifierNode{Value: name}, &ast.IdentifierNode{Value: "$env"}
	n := &ast.CallNode{Callee: callee, Arguments: append([]ast.Node{env}, args...)}
	for _, part := range []ast.Node{callee, env, n} {
		part.SetLocation(at.Location())
	}
	return n
}

// like gives n the type and the place of old.
func like(old, n ast.Node) ast.Node {
	n.SetNature(*old.Nature())
	n.SetLocation(old.Location())
	return n
}
