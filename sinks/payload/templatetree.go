package payload

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// node is one place of a template's tree.
type node struct {
	path string
	// One of these holds what it is:
	fixed   any     // a number, true, false or null
	text    *Text   // a text with or without holes
	content bool    // the octets of the attachment at hand
	list    []*node // a list
	fields  []field // an object
	each    *node   // one for each attachment
	kind    nodeKind
}

type nodeKind int

const (
	isFixed nodeKind = iota
	isText
	isContent
	isList
	isObject
	isEach
)

// field is one member of an object.
type field struct {
	name string
	node *node
}

// The keys of an object that stands for one thing for each attachment, and the
// hole that stands for an attachment's octets.
const (
	eachKey     = "$each"
	itemKey     = "$item"
	contentHole = "attachment.content"
)

const (
	deepestTree = 32
	mostNodes   = 10_000
)

func compileNode(v any, path string, depth int) (*node, error) {
	n := &node{path: path}
	if depth > deepestTree {
		return nil, fmt.Errorf("%s: the tree is more than %d levels deep", path, deepestTree)
	}
	switch v := v.(type) {
	case nil, bool, int, float64:
		n.fixed = v
		return n, nil
	case string:
		return n, n.compileText(v)
	case []any:
		n.kind = isList
		for i, e := range v {
			child, err := compileNode(e, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, child)
		}
		return n, nil
	case map[string]any:
		return n.compileObject(v, depth)
	}
	return nil, fmt.Errorf("%s: what stands here is no text, number, true, false, null, list or object; put it in quotes", path) // a date of YAML, say
}

func (n *node) compileText(s string) error {
	if inside, beyond, err := wholeHole(s); err == nil && beyond == "" && strings.TrimSpace(inside) == contentHole {
		n.kind, n.content = isContent, true
		return nil
	}
	n.kind = isText
	if trimmed := strings.TrimSpace(s); strings.HasPrefix(trimmed, "{{") {
		if _, beyond, err := wholeHole(trimmed); err == nil && beyond == "" {
			s = trimmed
		}
	}
	text, err := CompileText(s)
	if err != nil {
		return fmt.Errorf("%s: %w", n.path, err)
	}
	n.text = text
	return nil
}

// wholeHole parts a text that begins with a hole.
func wholeHole(s string) (inside, beyond string, err error) {
	after, found := strings.CutPrefix(strings.TrimSpace(s), "{{")
	if !found {
		return "", "", errors.New("no hole")
	}
	return endOfHole(after)
}

func (n *node) compileObject(m map[string]any, depth int) (*node, error) {
	if _, is := m[eachKey]; is {
		if of, _ := m[eachKey].(string); of != "attachments" || len(m) != 2 || m[itemKey] == nil {
			return nil, fmt.Errorf("%s: write {%s: attachments, %s: …}, and nothing beside them", n.path, eachKey, itemKey)
		}
		each, err := compileNode(m[itemKey], n.path+"."+itemKey, depth+1)
		n.kind, n.each = isEach, each
		return n, err
	}
	n.kind = isObject
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if strings.Contains(name, "{{") {
			return nil, fmt.Errorf("%s: the key %q has a hole; holes stand in values", n.path, name)
		}
		child, err := compileNode(m[name], n.path+"."+name, depth+1)
		if err != nil {
			return nil, err
		}
		n.fields = append(n.fields, field{name, child})
	}
	return n, nil
}

// suits refuses what cannot be said in a form.
func (n *node) suits(as string) error {
	switch {
	case as == asJSON:
		return nil
	case as == asText:
		if n.kind != isText && n.kind != isFixed {
			return fmt.Errorf("%s: with as: text it is one text", n.path)
		}
		return nil
	case n.kind != isObject:
		return fmt.Errorf("%s: a form is an object, whose keys are the names of its fields", n.path)
	}
	return n.suitsForm(as)
}

func (n *node) suitsForm(as string) error {
	if n.kind == isContent && as == asForm {
		return fmt.Errorf("%s: a form has no files; set as: multipart", n.path)
	}
	var children []*node
	for _, f := range n.fields {
		children = append(children, f.node)
	}
	if n.each != nil {
		children = append(children, n.each)
	}
	for _, child := range append(children, n.list...) {
		if err := child.suitsForm(as); err != nil {
			return err
		}
	}
	return nil
}
