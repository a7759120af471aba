package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

type kind uint8

const (
	scalar kind = iota
	mapping
	sequence
)

func (k kind) String() string {
	return [...]string{"a single value", "a block of keys", "a list"}[k]
}

// position is where a node stands. Line is 0 for a value that comes from a
// variable or a flag, and then file is its name.
type position struct {
	file string
	line int
}

func (p position) String() string {
	if p.line == 0 {
		return p.file
	}
	return p.file + ":" + strconv.Itoa(p.line)
}

// node is a YAML node after aliases and merge keys are resolved. Each use of an
// anchor has nodes of its own, so that each can be overridden and shown alone.
type node struct {
	kind    kind
	pos     position
	text    string // of a scalar, as written
	plain   bool   // a scalar without quotes and without !!str
	items   []*node
	entries []*entry

	override bool   // text comes from a variable or flag: nothing in it is expanded
	source   string // said by config show: "default", "defaults", "$POSTFERRY_LISTEN"

	// Filled by decoding.
	decoded  bool
	secret   bool
	raw      bool   // its key says that nothing in it is expanded
	typed    bool   // decoded into a number or a boolean
	free     bool   // decoded into whatever type it was written as
	value    string // of a scalar, after expansion
	vars     []string
	answer   string   // the secret that the file or command it names gave
	defaults []*entry // keys that are absent, with the values that stand in for them
}

// entry is one key of a mapping.
type entry struct {
	key       string
	pos       position
	value     *node
	inherited bool // laid under a mailbox by defaults:
	known     bool // some Decode has asked for it
}

// isNull reports a value left empty, which means: the default.
func (n *node) isNull() bool {
	if n.kind != scalar || !n.plain || n.override {
		return false
	}
	switch n.text {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// find gives the entry of key, or nil.
func (n *node) find(key string) *entry {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

// path is where the entry stands within the block at parent. What came from
// `defaults:` is reported there, once, and not for each mailbox.
func (e *entry) path(parent string) string {
	if e.inherited && !e.value.override {
		if parts := strings.SplitN(parent, ".", 3); parts[0] == "mailboxes" {
			parent = strings.Join(append([]string{"defaults"}, parts[2:]...), ".")
		}
	}
	return join(parent, e.key)
}

// clone copies the tree.
func (n *node) clone() *node {
	c := *n
	c.items = make([]*node, len(n.items))
	for i, item := range n.items {
		c.items[i] = item.clone()
	}
	c.entries = make([]*entry, len(n.entries))
	for i, e := range n.entries {
		copied := *e
		copied.value = e.value.clone()
		c.entries[i] = &copied
	}
	return &c
}

// join extends a key path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// addDefault notes the value that stands in for an absent key, for config show.
func (n *node) addDefault(f field, v reflect.Value) {
	for _, e := range n.defaults {
		if e.key == f.name {
			return
		}
	}
	if value := fromValue(v); value != nil {
		n.defaults = append(n.defaults, &entry{key: f.name, value: value, known: true})
	}
}

// fromValue writes a Go value as a node; nil for one that says nothing.
func fromValue(v reflect.Value) *node {
	n := &node{kind: scalar, decoded: true, source: "default"}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if v.Type() == durationType {
		n.value = FormatDuration(time.Duration(v.Int()))
		return n
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil || len(text) == 0 {
			return nil
		}
		n.value = string(text)
		return n
	}
	switch v.Kind() {
	case reflect.Struct:
		return fromStruct(n, v)
	case reflect.Slice:
		return fromSlice(n, v)
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		n.value, n.typed = fmt.Sprint(v.Interface()), true
		n.text = n.value
	case reflect.String:
		n.value = v.String()
		if n.value == "" {
			return nil
		}
	default:
		return nil
	}
	return n
}

func fromStruct(n *node, v reflect.Value) *node {
	n.kind, n.source = mapping, ""
	for _, f := range fieldsOf(v.Type()) {
		if value := fromValue(v.FieldByIndex(f.index)); value != nil {
			n.entries = append(n.entries, &entry{key: f.name, value: value, known: true})
		}
	}
	if len(n.entries) == 0 {
		return nil
	}
	return n
}

func fromSlice(n *node, v reflect.Value) *node {
	n.kind = sequence
	for i := range v.Len() {
		if value := fromValue(v.Index(i)); value != nil {
			value.source = ""
			n.items = append(n.items, value)
		}
	}
	if len(n.items) == 0 {
		return nil
	}
	return n
}
