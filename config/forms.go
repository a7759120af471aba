package config

import (
	"encoding"
	"reflect"
)

// Kinds are the configuration structs of the kinds of mailboxes and sinks and of
// the formats there are, for the schema and the reference.
type Kinds struct {
	Mailboxes map[string]any // by protocol: "imap" stands for imap:// and imaps://
	Sinks     map[string]any // by type
	Formats   map[string]any // of a sink, by name; nil: any word
}

// form is how a value of a type is written when it is written as text.
type form struct {
	name    string // in the reference
	pattern string // ECMA 262
	number  bool   // may also be a number without quotes
}

const (
	durationPart = `(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))`
	duration     = `([0-9]+d` + durationPart + `*|` + durationPart + `+)`
)

// formOf gives the form of the types that are written as text; ok is false for
// all others.
func formOf(t reflect.Type) (f form, ok bool) {
	switch t {
	case durationType:
		return form{"length of time", `^(0|` + duration + `)$`, true}, true
	case reflect.TypeFor[Size]():
		return form{"size", `^\+?[0-9]+(\.[0-9]*)?( ?([KkMmGgTt][Ii]?)?[Bb])?$`, true}, true
	case reflect.TypeFor[Action]():
		return form{"action", `^(keep|seen|delete|move:.+|flag:.+)$`, false}, true
	case reflect.TypeFor[After]():
		return form{"action", `^(keep|seen|delete(:` + duration + `)?|move:.+|flag:.+)$`, false}, true
	case reflect.TypeFor[Backfill]():
		return form{"none, all or an age", `^(none|all|` + duration + `)$`, false}, true
	case reflect.TypeFor[Rate]():
		return form{"rate", `^[0-9]+ */ *([smhd]|` + duration + `)$`, false}, true
	case reflect.TypeFor[Route]():
		return form{"name of a sink", `.`, true}, true
	case reflect.TypeFor[Retry]():
		return form{"none", `^none$`, false}, true
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) && t != secretType {
		return form{"text", ``, true}, true
	}
	return form{}, false
}

// isBlock reports a type that is, or may be, written as a block of keys.
func isBlock(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != secretType && len(fieldsOf(t)) > 0
}

// isNumber reports a type that is written as a number, and whether a whole one.
func isNumber(t reflect.Type) (number, whole bool) {
	switch k := t.Kind(); {
	case t == durationType:
		return false, false
	case reflect.Int <= k && k <= reflect.Uint64:
		return true, true
	case k == reflect.Float32 || k == reflect.Float64:
		return true, false
	}
	return false, false
}

// defaultsOf makes a value of the type with its defaults set.
func defaultsOf(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	setDefaults(v)
	return v
}

// structOf is the struct type of a kind's configuration, given as a value or a
// pointer.
func structOf(v any) reflect.Type {
	t := reflect.TypeOf(v)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		panic("config: a kind's configuration is a struct")
	}
	return t
}
