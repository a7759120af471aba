package config

import (
	"maps"
	"slices"
)

// formats lets the format of a sink choose the keys that are its own: they are
// refused under another one, and asked for under theirs. A format that is a
// reference may have those of all.
func (k Kinds) formats(defs, sink object) {
	if k.Formats == nil {
		return
	}
	names := slices.Sorted(maps.Keys(k.Formats))
	properties := sink["properties"].(object)
	format := properties["format"].(object)
	format["anyOf"] = []any{object{"enum": words(names)}, object{"type": "null"}, reference}
	delete(format, "type")
	var rules []any
	owners := map[string][]string{}
	for _, name := range names {
		own := structOf(k.Formats[name])
		if len(fieldsOf(own)) == 0 {
			continue
		}
		one := fieldsSchema(fieldsOf(own), defaultsOf(own))
		for key := range one["properties"].(object) {
			owners[key] = append(owners[key], name)
		}
		either(properties, fieldsSchema(fieldsOf(own), defaultsOf(own))["properties"].(object))
		delete(one, "additionalProperties")
		defs["format."+name] = one
		rules = append(rules, choose("format", object{"enum": words([]string{name})}, "format."+name))
	}
	for _, key := range slices.Sorted(maps.Keys(owners)) {
		taken := object{"anyOf": []any{object{"enum": words(owners[key])}, reference}}
		rules = append(rules, object{
			"if":   object{"not": object{"required": []any{"format"}, "properties": object{"format": taken}}},
			"then": object{"properties": object{key: false}},
		})
	}
	if len(rules) > 0 {
		have, _ := sink["allOf"].([]any)
		sink["allOf"] = append(have, rules...)
	}
}
