package config

import (
	"encoding/json"
	"reflect"
)

// fieldsSchema is the schema of a block with these keys; defaults has their
// default values.
func fieldsSchema(fields []field, defaults reflect.Value) object {
	properties := object{}
	var required, rules []any
	for _, f := range fields {
		if f.isSecret() {
			rules = append(rules, secretKeys(properties, f)...)
			continue
		}
		property := typeSchema(f.typ, f)
		if f.required {
			required = append(required, f.name)
			if f.typ.Kind() == reflect.Slice {
				property["minItems"] = 1
			}
		} else {
			property = optional(property)
		}
		if f.doc != "" {
			property["description"] = f.doc
		}
		if value := fromValue(defaults.FieldByIndex(f.index)); value != nil && value.kind == scalar {
			property["default"] = defaultValue(value)
		}
		properties[f.name] = property
	}
	o := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	if len(rules) > 0 {
		o["allOf"] = rules
	}
	return o
}

func defaultValue(n *node) any {
	if n.typed {
		return json.RawMessage(n.value)
	}
	return n.value
}

// secretKeys adds the ways to give a secret and gives the rules that at most one
// of them is there, and one if it is required.
func secretKeys(properties object, f field) []any {
	properties[f.name] = object{"type": anyScalar(), "description": f.doc}
	properties[f.name+"_file"] = object{"type": anyScalar(), "description": "a file that holds " + f.name + ", relative to this file; one line end after it does not count"}
	properties[f.name+"_command"] = object{
		"type": []any{"array", "null"}, "items": object{"type": []any{"string", "number", "boolean"}},
		"description": "a command, run without a shell, that writes " + f.name + " to its standard output",
	}
	given := func(key string) object {
		return object{"required": []any{key}, "properties": object{key: object{"not": object{"type": "null"}}}}
	}
	keys := f.keys()
	rules := []any{
		object{"not": object{"allOf": []any{given(keys[0]), given(keys[1])}}},
		object{"not": object{"allOf": []any{given(keys[0]), given(keys[2])}}},
		object{"not": object{"allOf": []any{given(keys[1]), given(keys[2])}}},
	}
	if f.required {
		rules = append(rules, object{"anyOf": []any{given(keys[0]), given(keys[1]), given(keys[2])}})
	}
	return rules
}

// anyScalar are the types a text can have to a validator that reads 123 and true
// as what they look like; left empty it is the default.
func anyScalar() []any { return []any{"string", "number", "boolean", "null"} }

// optional also allows null.
func optional(o object) object {
	if list, ok := o["anyOf"].([]any); ok {
		o["anyOf"] = append(list, object{"type": "null"})
		return o
	}
	switch t := o["type"].(type) {
	case string:
		o["type"] = []any{t, "null"}
	case []any:
		o["type"] = append(t, "null")
	}
	return o
}

// typeSchema is the schema of a value; f carries what holds for all within it.
func typeSchema(t reflect.Type, f field) object {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if form, ok := formOf(t); ok {
		return formSchema(t, form)
	}
	number, whole := isNumber(t)
	switch {
	case t == secretType:
		return object{"type": []any{"string", "number", "boolean"}}
	case t.Kind() == reflect.Struct && f.words:
		list := object{"type": "array", "items": orReference(object{"enum": words(switches(t))}, false)}
		return object{"anyOf": []any{list, fieldsSchema(fieldsOf(t), defaultsOf(t))}}
	case t.Kind() == reflect.Struct:
		return fieldsSchema(fieldsOf(t), defaultsOf(t))
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": typeSchema(t.Elem(), f)}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": optional(typeSchema(t.Elem(), f))}
	case t.Kind() == reflect.Interface:
		return object{}
	case t.Kind() == reflect.Bool:
		return orReference(object{"type": "boolean"}, f.raw)
	case (whole || number) && len(f.enum) > 0:
		list := []any{}
		for _, word := range f.enum {
			list = append(list, plainValue(word))
		}
		return orReference(object{"enum": list}, f.raw)
	case whole:
		return orReference(object{"type": "integer"}, f.raw)
	case number:
		return orReference(object{"type": "number"}, f.raw)
	case len(f.enum) > 0:
		return orReference(object{"enum": words(f.enum)}, f.raw)
	}
	return object{"type": []any{"string", "number", "boolean"}}
}

func orReference(o object, raw bool) object {
	if raw {
		return object{"anyOf": []any{o}}
	}
	return object{"anyOf": []any{o, reference}}
}

// formSchema is that of a type written as text, or as a block if it has keys.
func formSchema(t reflect.Type, f form) object {
	text := object{"type": "string"}
	if f.pattern != "" {
		text["pattern"] = f.pattern
	}
	ways := []any{text}
	if f.number {
		ways = append(ways, object{"type": "number"})
	}
	if t == durationType {
		ways[1] = object{"const": 0}
	}
	if f.pattern != "" && f.pattern != "." {
		ways = append(ways, reference)
	}
	if isBlock(t) {
		ways = append(ways, fieldsSchema(fieldsOf(t), defaultsOf(t)))
	}
	return object{"anyOf": ways}
}
