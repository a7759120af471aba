package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// object is a JSON Schema, or a part of one.
type object = map[string]any

// Schema gives the JSON Schema (2020-12) of a configuration file that is not
// split into several, for editors and for checks without postferry. It follows
// the structs' tags: unknown keys and wrong types are refused, in a mailbox by
// the protocol of its server, in a sink by its type. Where a number, a boolean
// or any other form is wanted, a text with ${…} in it is allowed. What depends
// on several keys or on names elsewhere is for `postferry check`.
func Schema(k Kinds) []byte {
	root := fieldsSchema(fieldsOf(topType), defaultsOf(topType))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "postferry configuration"
	root["patternProperties"] = object{"^x-": true}
	defs := object{
		"reference": object{"type": "string", "pattern": `\$\{`, "description": "a text in which variables are filled in: ${VAR}, ${VAR:-text}, ${VAR:?message}"},
	}
	properties := root["properties"].(object)
	k.mailboxes(defs, properties)
	k.sinks(defs, properties)
	root["allOf"] = k.inheritable()
	root["$defs"] = defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // only maps, lists and texts are in it
	}
	return append(out, '\n')
}

const namePattern = "^[a-z0-9_-]{1,64}$"

// named is a block of blocks with names of the user's.
func named(doc string, each object) object {
	return orEmpty(object{"type": "object", "description": doc, "propertyNames": object{"pattern": namePattern}, "additionalProperties": each})
}

// mailboxes lets the protocol of server choose the keys; where server is not
// there, or is a reference, those of all kinds are allowed.
func (k Kinds) mailboxes(defs, properties object) {
	base := fieldsOf(reflect.TypeFor[Mailbox]())
	defaults := defaultsOf(reflect.TypeFor[Mailbox]())
	every := fieldsSchema(base, defaults)
	protocols := slices.Sorted(maps.Keys(k.Mailboxes))
	var rules []any
	for _, protocol := range protocols {
		own := structOf(k.Mailboxes[protocol])
		one := fieldsSchema(base, defaults)
		extend(one, fieldsSchema(fieldsOf(own), defaultsOf(own)))
		either(every["properties"].(object), fieldsSchema(fieldsOf(own), defaultsOf(own))["properties"].(object))
		free(one)
		defs["mailbox."+protocol] = one
		rules = append(rules, choose("server", object{"type": "string", "pattern": "^" + anyCase(protocol) + "[Ss]?://"}, "mailbox."+protocol))
	}
	free(every)
	defs["mailbox"] = every
	server := every["properties"].(object)["server"].(object)
	server["anyOf"] = []any{object{"type": "string", "pattern": "^(" + anyCase(strings.Join(protocols, "|")) + ")[Ss]?://[^/@]+/*$"}, reference}
	delete(server, "type")
	rules = append(rules, ref("mailbox"))
	properties["mailboxes"] = named("the accounts mail is taken from, by names of your choice", object{"allOf": rules})
	properties["defaults"] = orEmpty(object{"description": "keys of mailboxes, for every mailbox that does not have them itself", "allOf": []any{ref("mailbox")}})
}

// sinks lets type choose the keys, and format those of its own.
func (k Kinds) sinks(defs, properties object) {
	types := slices.Sorted(maps.Keys(k.Sinks))
	var rules []any
	for _, name := range types {
		own := structOf(k.Sinks[name])
		one := fieldsSchema(fieldsOf(reflect.TypeFor[Sink]()), defaultsOf(reflect.TypeFor[Sink]()))
		extend(one, fieldsSchema(fieldsOf(own), defaultsOf(own)))
		k.formats(defs, one)
		defs["sink."+name] = one
		rules = append(rules, choose("type", object{"const": name}, "sink."+name))
	}
	properties["sinks"] = named("the destinations mail is delivered to, by names of your choice", object{
		"type": "object", "required": []any{"type"},
		"properties": object{"type": object{"anyOf": []any{object{"enum": words(types)}, reference}}},
		"allOf":      rules,
	})
}

// choose applies a definition where a key has a value.
func choose(key string, value object, definition string) object {
	return object{
		"if":   object{"required": []any{key}, "properties": object{key: value}},
		"then": ref(definition),
	}
}

// inheritable requires the required keys of a mailbox, unless they are in
// `defaults:`.
func (k Kinds) inheritable() []any {
	var rules []any
	for _, f := range fieldsOf(reflect.TypeFor[Mailbox]()) {
		if f.required {
			rules = append(rules, object{
				"if":   object{"not": object{"required": []any{"defaults"}, "properties": object{"defaults": object{"type": "object", "required": []any{f.name}}}}},
				"then": object{"properties": object{"mailboxes": object{"additionalProperties": object{"type": "object", "required": []any{f.name}}}}},
			})
		}
	}
	return rules
}

// free drops what is required: it may stand in `defaults:`.
func free(o object) { delete(o, "required") }

// anyCase is a pattern that takes ASCII letters in either case.
func anyCase(s string) string {
	var b strings.Builder
	for _, c := range s {
		if 'a' <= c && c <= 'z' {
			b.WriteString("[" + strings.ToUpper(string(c)) + string(c) + "]")
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func words(list []string) []any {
	out := make([]any, 0, len(list))
	for _, word := range list {
		out = append(out, word)
		// 1.2 without quotes is a number to a validator and a text to postferry.
		if v := plainValue(word); v != any(word) && v != nil {
			out = append(out, v)
		}
	}
	return out
}

func ref(definition string) object { return object{"$ref": "#/$defs/" + definition} }

var reference = ref("reference")

// orEmpty also allows a value left empty, which means the default.
func orEmpty(o object) object {
	if t, ok := o["type"].(string); ok {
		o["type"] = []any{t, "null"}
		return o
	}
	if all, ok := o["allOf"]; ok {
		delete(o, "allOf")
		o["anyOf"] = []any{object{"allOf": all}, object{"type": "null"}}
	}
	return o
}

// either adds properties to those there are; one that is there already may then
// be either.
func either(have, more object) {
	for key, property := range more {
		if other, twice := have[key]; twice && !reflect.DeepEqual(other, property) {
			property = object{"anyOf": []any{other, property}}
		}
		have[key] = property
	}
}

// extend adds the keys and rules of more to o.
func extend(o, more object) {
	maps.Copy(o["properties"].(object), more["properties"].(object))
	for _, key := range []string{"required", "allOf"} {
		if list, ok := more[key].([]any); ok {
			have, _ := o[key].([]any)
			o[key] = append(have, list...)
		}
	}
}
