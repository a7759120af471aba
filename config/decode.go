package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// decoder turns nodes into Go values and collects what is wrong with them.
type decoder struct {
	env  *environment
	errs Errors
}

func (d *decoder) fail(pos position, path, format string, args ...any) {
	d.add(pos, path, fmt.Errorf(format, args...))
}

func (d *decoder) add(pos position, path string, err error) {
	d.errs = append(d.errs, &Error{File: pos.file, Line: pos.line, Path: path, Err: err})
}

var durationType = reflect.TypeFor[time.Duration]()

// value decodes n into v. f carries what the struct tag asks for; it holds for
// all within a list or map. An empty value leaves v as it is.
func (d *decoder) value(n *node, path string, v reflect.Value, f field) {
	n.decoded = true
	if n.isNull() && v.Kind() != reflect.Interface {
		return
	}
	if v.Kind() == reflect.Pointer {
		target := reflect.New(v.Type().Elem())
		setDefaults(target.Elem())
		d.value(n, path, target.Elem(), f)
		v.Set(target)
		return
	}
	text, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case v.Type() == secretType:
		n.secret = true
		d.scalar(n, path, v, f)
	case v.Type() == durationType:
		d.scalar(n, path, v, f)
	case isText && (n.kind == scalar || v.Kind() != reflect.Struct || len(fieldsOf(v.Type())) == 0):
		d.text(n, path, text, f)
	case v.Kind() == reflect.Struct && f.words && n.kind == sequence:
		d.words(n, path, v)
	case v.Kind() == reflect.Struct:
		if d.want(n, path, mapping) {
			d.structure(n, path, v, f.raw)
		}
	case v.Kind() == reflect.Slice:
		d.slice(n, path, v, f)
	case v.Kind() == reflect.Map:
		d.mapOf(n, path, v, f)
	case v.Kind() == reflect.Interface:
		if value := d.any(n, path, f); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default:
		d.scalar(n, path, v, f)
	}
}

// want reports whether n is of kind k, and complains if not.
func (d *decoder) want(n *node, path string, k kind) bool {
	if n.kind == k {
		return true
	}
	switch {
	case k == sequence && n.kind == scalar && n.value == "" && !strings.Contains(n.text, "\n") && !n.secret:
		d.fail(n.pos, path, "wants a list, has a single value; write it in brackets: [%s]", shorten(n.text))
	default:
		d.fail(n.pos, path, "wants %s, has %s", k, n.kind)
	}
	return false
}

// structure decodes a nested block, in which every key must be known.
func (d *decoder) structure(n *node, path string, v reflect.Value, raw bool) {
	before := len(d.errs)
	d.fields(n, path, v, raw)
	var known []string
	for _, f := range fieldsOf(v.Type()) {
		known = append(known, f.keys()...)
	}
	for _, e := range n.entries {
		if !e.known {
			d.fail(e.pos, e.path(path), "unknown key%s", hint(e.key, known))
		}
	}
	d.validate(n, path, v, before)
}

// fields decodes the keys v declares and marks them as known.
func (d *decoder) fields(n *node, path string, v reflect.Value, raw bool) {
	n.decoded = true
	for _, f := range fieldsOf(v.Type()) {
		f.raw = f.raw || raw
		target := v.FieldByIndex(f.index)
		if f.isSecret() {
			d.secretField(n, path, target, f)
			continue
		}
		e := n.find(f.name)
		if e == nil || e.value.isNull() {
			if e != nil {
				e.known, e.value.decoded = true, true
			}
			if f.required {
				d.fail(placeOf(n, e), join(path, f.name), "the key is required%s", describe(f.doc))
			}
			n.addDefault(f, target)
			continue
		}
		e.known = true
		before := len(d.errs)
		d.value(e.value, e.path(path), target, f)
		if f.required && target.IsZero() && len(d.errs) == before {
			d.fail(e.value.pos, e.path(path), "the value is empty%s", describe(f.doc))
		}
	}
}

func describe(doc string) string {
	if doc == "" {
		return ""
	}
	return ": " + doc
}

// validate calls the Validate methods, unless decoding found errors already.
func (d *decoder) validate(n *node, path string, v reflect.Value, before int) {
	if len(d.errs) > before {
		return
	}
	for i := range v.NumField() {
		if sf := v.Type().Field(i); sf.Anonymous && sf.IsExported() && sf.Type.Kind() == reflect.Struct {
			d.callValidate(n, path, v.Field(i))
		}
	}
	if len(d.errs) == before {
		d.callValidate(n, path, v)
	}
}

func (d *decoder) callValidate(n *node, path string, v reflect.Value) {
	if checked, ok := v.Addr().Interface().(interface{ Validate() error }); ok {
		d.addAt(n, path, checked.Validate())
	}
}

func (d *decoder) slice(n *node, path string, v reflect.Value, f field) {
	n.secret = v.Type().Elem() == secretType
	if !d.want(n, path, sequence) {
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.isNull() {
			d.fail(item.pos, at, "the entry is empty")
			continue
		}
		setDefaults(list.Index(i))
		d.value(item, at, list.Index(i), f)
	}
	v.Set(list)
}

// words decodes a list of names into a block: the fields of these names are true.
func (d *decoder) words(n *node, path string, v reflect.Value) {
	var names []string
	before := len(d.errs)
	d.slice(n, path, reflect.ValueOf(&names).Elem(), field{enum: switches(v.Type())})
	if len(d.errs) > before {
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		if slices.Contains(names, f.name) {
			v.FieldByIndex(f.index).SetBool(true)
		}
	}
	d.validate(n, path, v, before)
}

func (d *decoder) mapOf(n *node, path string, v reflect.Value, f field) {
	if v.Type().Key().Kind() != reflect.String {
		panic("config: a map in a configuration struct has string keys: " + v.Type().String())
	}
	if !d.want(n, path, mapping) {
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.entries))
	for _, e := range n.entries {
		e.known = true
		element := reflect.New(v.Type().Elem()).Elem()
		setDefaults(element)
		d.value(e.value, join(path, e.key), element, f)
		m.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), element)
	}
	v.Set(m)
}

// any decodes into maps, lists and the plain scalars of YAML 1.2.
func (d *decoder) any(n *node, path string, f field) any {
	n.decoded = true
	switch n.kind {
	case mapping:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			e.known = true
			m[e.key] = d.any(e.value, join(path, e.key), f)
		}
		return m
	case sequence:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = d.any(item, fmt.Sprintf("%s[%d]", path, i), f)
		}
		return list
	}
	text, ok := d.expanded(n, path, f.raw)
	if !ok || !n.plain || n.override || len(n.vars) > 0 {
		return text
	}
	n.free = true
	return plainValue(text)
}
