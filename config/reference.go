package config

import (
	_ "embed"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

//go:embed reference.md
var prose string

// Reference gives the page of documentation, in Markdown, about files, variables
// and secrets and about every key there is: its type, default and meaning, from
// the tags of the structs.
func Reference(k Kinds) []byte {
	var r page
	r.WriteString(prose)
	r.heading("## The file")
	r.line("", "These keys stand at the top. `mailboxes` and `sinks` hold blocks with names of your choice: `a-z`, `0-9`, `-` and `_`.")
	r.table(topType)
	r.heading("## Mailboxes")
	r.line("", "Keys of `mailboxes.NAME`, and of `defaults`, which holds for every mailbox that does not have the key itself.")
	r.table(reflect.TypeFor[Mailbox]())
	for _, protocol := range slices.Sorted(maps.Keys(k.Mailboxes)) {
		r.heading(fmt.Sprintf("### Only with `server: %ss://…` or `%s://…`", protocol, protocol))
		r.table(structOf(k.Mailboxes[protocol]))
	}
	r.heading("## Sinks")
	r.line("", "Keys of `sinks.NAME`, whatever its type.")
	r.table(reflect.TypeFor[Sink]())
	for _, name := range slices.Sorted(maps.Keys(k.Sinks)) {
		r.heading(fmt.Sprintf("### Only with `type: %s`", name))
		r.table(structOf(k.Sinks[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(k.Formats)) {
		if t := structOf(k.Formats[name]); len(fieldsOf(t)) > 0 {
			r.heading(fmt.Sprintf("### Only with `format: %s`", name))
			r.table(t)
		}
	}
	return []byte(r.String())
}

type page struct{ strings.Builder }

func (r *page) line(lines ...string) { r.WriteString(strings.Join(lines, "\n") + "\n") }

func (r *page) heading(text string) { r.line("", text) }

// table lists the keys of a struct, those of blocks within it in a row each.
func (r *page) table(t reflect.Type) {
	if len(fieldsOf(t)) == 0 {
		r.line("", "No keys of its own.")
		return
	}
	r.line("", "| key | type | default | meaning |", "|---|---|---|---|")
	r.rows("", t, defaultsOf(t), 0)
}

// maxBlocks bounds blocks within each other, should a type hold itself.
const maxBlocks = 8

func (r *page) rows(prefix string, t reflect.Type, defaults reflect.Value, depth int) {
	for _, f := range fieldsOf(t) {
		key := prefix + f.name
		value := defaults.FieldByIndex(f.index)
		r.row(key, typeWords(f), defaultWords(f, value), f.doc)
		if f.isSecret() {
			r.row(key+"_file", "file name", "", "a file that holds `"+key+"`; one line end after it does not count")
			r.row(key+"_command", "command", "", "a command that writes `"+key+"` to its standard output")
		}
		inner, suffix := inside(f.typ)
		if inner == nil || depth == maxBlocks {
			continue
		}
		if suffix != "" || value.Kind() == reflect.Pointer {
			value = defaultsOf(inner)
		}
		r.rows(key+suffix+".", inner, value, depth+1)
	}
}

func (r *page) row(key, typ, def, doc string) {
	cell := strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
	r.line(fmt.Sprintf("| `%s` | %s | %s | %s |", key, cell.Replace(typ), cell.Replace(def), cell.Replace(doc)))
}

// inside is the block within a type, with what to write behind the key for it.
func inside(t reflect.Type) (reflect.Type, string) {
	switch {
	case isBlock(t):
		return t, ""
	case t.Kind() == reflect.Pointer:
		return inside(t.Elem())
	case t.Kind() == reflect.Slice:
		inner, suffix := inside(t.Elem())
		return inner, "[]" + suffix
	case t.Kind() == reflect.Map:
		inner, suffix := inside(t.Elem())
		return inner, ".NAME" + suffix
	}
	return nil, ""
}

func typeWords(f field) string {
	words := typeWord(f.typ, f)
	if len(f.enum) > 0 {
		words = "`" + strings.Join(f.enum, "`, `") + "`"
	}
	if f.required {
		words += ", required"
	}
	return words
}

func typeWord(t reflect.Type, f field) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	form, isText := formOf(t)
	number, whole := isNumber(t)
	switch {
	case isText && isBlock(t):
		return form.name + ", or a block"
	case isText:
		return form.name
	case t == secretType:
		return "secret"
	case t.Kind() == reflect.Struct && f.words:
		return "list of: `" + strings.Join(switches(t), "`, `") + "`; or a block"
	case t.Kind() == reflect.Struct:
		return "block"
	case t.Kind() == reflect.Slice:
		return "list of: " + typeWord(t.Elem(), f)
	case t.Kind() == reflect.Map:
		return "names, each with: " + typeWord(t.Elem(), f)
	case t.Kind() == reflect.Interface:
		return "any"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case whole:
		return "whole number"
	case number:
		return "number"
	case f.path:
		return "file name"
	case f.raw:
		return "text, taken as it is"
	}
	return "text"
}

// defaultWords is the default where there is one to speak of. Blocks and lists
// of blocks have their defaults in rows of their own.
func defaultWords(f field, v reflect.Value) string {
	if f.required {
		return ""
	}
	n := fromValue(v)
	switch {
	case n == nil || n.kind == mapping || v.IsZero() && (n.typed && v.Kind() != reflect.Bool || v.Type() == durationType):
		return ""
	case n.kind == scalar:
		return "`" + n.value + "`"
	}
	var items []string
	for _, item := range n.items {
		if item.kind != scalar {
			return ""
		}
		items = append(items, item.value)
	}
	return "`[" + strings.Join(items, ", ") + "]`"
}
