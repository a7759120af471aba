package config

import (
	"reflect"
	"strings"

	"github.com/postferry/postferry/internal/secret"
)

// field is one key a struct declares.
type field struct {
	name     string
	index    []int
	typ      reflect.Type
	required bool
	raw      bool
	path     bool
	words    bool // a list of the names of its fields that are true or false will do
	enum     []string
	doc      string
}

var secretType = reflect.TypeFor[secret.Secret]()

// isSecret reports a field that also has the twins name_file and name_command.
func (f field) isSecret() bool { return f.typ == secretType }

// keys are the keys the field answers to.
func (f field) keys() []string {
	if f.isSecret() {
		return []string{f.name, f.name + "_file", f.name + "_command"}
	}
	return []string{f.name}
}

// fieldsOf lists the keys of a struct in the order they are declared. Embedded
// structs without a tag count as if their fields stood there.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("config")
		if sf.Anonymous && !tagged && sf.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(sf.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" || name == "-" || !sf.IsExported() {
			continue
		}
		f := field{name: name, index: []int{i}, typ: sf.Type, doc: sf.Tag.Get("doc")}
		for _, option := range strings.Split(options, ",") {
			switch option {
			case "required":
				f.required = true
			case "raw":
				f.raw = true
			case "path":
				f.path = true
			case "words":
				f.words = true
			}
		}
		if enum := sf.Tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		all = append(all, f)
	}
	return all
}

// switches are the names of a struct's fields that are true or false.
func switches(t reflect.Type) (names []string) {
	for _, f := range fieldsOf(t) {
		if f.typ.Kind() == reflect.Bool {
			names = append(names, f.name)
		}
	}
	return names
}

// setDefaults calls the SetDefaults methods of v and the structs it holds,
// inner ones first, so that an outer one may adjust them.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		setDefaults(v.FieldByIndex(f.index))
	}
	for i := range v.NumField() { // embedded structs have methods of their own
		if sf := v.Type().Field(i); sf.Anonymous && sf.IsExported() {
			callSetDefaults(v.Field(i))
		}
	}
	callSetDefaults(v)
}

func callSetDefaults(v reflect.Value) {
	if !v.CanAddr() {
		return
	}
	if d, ok := v.Addr().Interface().(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
}
