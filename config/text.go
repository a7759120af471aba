package config

import (
	"encoding"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// expanded gives the text of a scalar with its variables filled in, and whether
// that went well.
func (d *decoder) expanded(n *node, path string, raw bool) (string, bool) {
	n.decoded, n.raw = true, raw
	if n.override || raw {
		n.value = n.text
		return n.text, true
	}
	x, err := expand(n.text, d.env.lookup)
	n.value, n.vars = x.text, x.vars
	if err != nil {
		d.add(n.pos, path, err)
		return "", false
	}
	return x.text, true
}

// text decodes a scalar by the target's own UnmarshalText.
func (d *decoder) text(n *node, path string, target encoding.TextUnmarshaler, f field) {
	if !d.want(n, path, scalar) {
		return
	}
	text, ok := d.expanded(n, path, f.raw)
	if !ok {
		return
	}
	if err := target.UnmarshalText([]byte(text)); err != nil {
		d.add(n.pos, path, n.unfilled(err))
	} else if form, ok := target.(encoding.TextMarshaler); ok {
		n.canonical(form)
	}
}

// canonical notes the value in the one form that stands for all its spellings.
func (n *node) canonical(form encoding.TextMarshaler) {
	if text, err := form.MarshalText(); err == nil && !n.secret {
		n.value = string(text)
	}
}

// scalar decodes into the basic types.
func (d *decoder) scalar(n *node, path string, v reflect.Value, f field) {
	if !d.want(n, path, scalar) {
		return
	}
	text, ok := d.expanded(n, path, f.raw)
	if !ok {
		return
	}
	if err := d.set(n, path, text, v, f); err != nil {
		d.add(n.pos, path, n.unfilled(err))
	}
}

// set puts text into v.
func (d *decoder) set(n *node, path, text string, v reflect.Value, f field) error {
	if v.Type() == secretType {
		d.env.sawSecret(n, path)
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	}
	if v.Type() == durationType {
		duration, err := ParseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(duration))
		n.value = FormatDuration(duration)
		return nil
	}
	if v.Kind() == reflect.String {
		return d.setString(n, text, v, f)
	}
	// A quoted number is a text, unless the quotes hold a variable.
	if !n.plain && !n.override && len(n.vars) == 0 {
		return fmt.Errorf("wants %s, has a text; write it without quotes", typeName(v.Type()))
	}
	n.typed = true
	switch {
	case v.CanInt():
		i, err := parseInt(text, v.Type().Bits())
		v.SetInt(i)
		return err
	case v.CanUint():
		u, err := parseUint(text, v.Type().Bits())
		v.SetUint(u)
		return err
	case v.CanFloat():
		x, err := parseFloat(text)
		v.SetFloat(x)
		return err
	case v.Kind() == reflect.Bool:
		b, err := parseBool(text)
		v.SetBool(b)
		return err
	}
	panic("config: a configuration struct has a field of type " + v.Type().String())
}

func (d *decoder) setString(n *node, text string, v reflect.Value, f field) error {
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return unknownWord(text, f.enum)
	}
	if f.path {
		text = d.env.resolve(n.pos, text)
		if absolute, err := filepath.Abs(text); err == nil && text != "" && text != "-" {
			n.value = absolute
		}
	}
	v.SetString(text)
	return nil
}

// unknownWord says that text is none of words.
func unknownWord(text string, words []string) error {
	if near := Nearest(text, words); near != "" {
		return fmt.Errorf("%q is none of %s; did you mean %q?", shorten(text), strings.Join(words, ", "), near)
	}
	return fmt.Errorf("%q is none of %s", shorten(text), strings.Join(words, ", "))
}

// unfilled takes what a variable holds out of an error: it may be a secret that
// stands in the wrong place.
func (n *node) unfilled(err error) error {
	if n == nil || n.value == "" || !n.secret && !n.override && len(n.vars) == 0 {
		return err
	}
	text, stand := err.Error(), n.text
	if n.secret || n.override {
		stand = "…"
	}
	short := strings.TrimSuffix(shorten(n.value), "…")
	for _, form := range []string{n.value, short} {
		quoted := strconv.Quote(form)
		text = strings.ReplaceAll(text, quoted, `"`+stand+`"`)
		if len(form) < 4 { // it may be part of any word
			continue
		}
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], stand)
		text = strings.ReplaceAll(text, form, stand)
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}
