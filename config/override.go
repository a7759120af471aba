package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

const (
	envPrefix = "POSTFERRY_"
	delimiter = "::"
)

// settings are the top-level scalars that a variable or flag may set even where
// no file has them.
var settings = []string{"store", "retain", "listen", "quota"}

// overrides lets viper decide, for each scalar, between a flag, a variable and
// the file. The variable of mailboxes.my-box.password is
// POSTFERRY_MAILBOXES__MY_BOX__PASSWORD; one that is set but empty does not
// count. Elements of lists have no variable.
type overrides struct {
	lookup func(string) (string, bool)
	flags  map[string]*pflag.Flag // by key path, "store" or "mailboxes::support::server"
	used   map[string]position    // variable to the scalar it has overridden
	errs   Errors
}

// variable is the name of the environment variable for a key path.
func variable(path []string) string {
	name := strings.ToUpper(strings.Join(path, "__"))
	return envPrefix + strings.Map(func(r rune) rune {
		if r == '_' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// apply overrides the scalars within n.
func (o *overrides) apply(n *node, path []string) {
	switch n.kind {
	case scalar:
		o.scalar(n, path)
	case mapping:
		for _, e := range n.entries {
			o.apply(e.value, append(path[:len(path):len(path)], e.key))
		}
	}
}

// scalar asks viper, where there is anything to decide.
func (o *overrides) scalar(n *node, path []string) {
	name := variable(path)
	value, set := o.lookup(name)
	flag := o.flags[strings.Join(path, delimiter)]
	set = set && value != ""
	if !set && (flag == nil || !flag.Changed) {
		return
	}
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	key := strings.Join(path, delimiter)
	v.SetDefault(key, n.text)
	if set {
		if first, twice := o.used[name]; twice {
			o.errs = append(o.errs, &Error{File: n.pos.file, Line: n.pos.line, Path: strings.Join(path, "."),
				Err: fmt.Errorf("the variable %s means this key and the one at %s; unset it or rename one", name, first)})
		}
		o.used[name] = n.pos
		if err := v.MergeConfigMap(nest(path, value)); err != nil {
			o.errs = append(o.errs, &Error{File: name, Path: strings.Join(path, "."), Err: err})
			return
		}
		n.source = "$" + name
		n.pos = position{file: "$" + name}
	}
	if flag != nil && flag.Changed {
		if err := v.BindPFlag(key, flag); err != nil {
			o.errs = append(o.errs, &Error{File: "--" + flag.Name, Err: err})
			return
		}
		n.source = "--" + flag.Name
		n.pos = position{file: "--" + flag.Name}
	}
	n.text, n.override = v.GetString(key), true
}

// add gives root the settings that only a variable or a flag has.
func (o *overrides) add(root *node) {
	for _, key := range settings {
		if root.find(key) != nil {
			continue
		}
		n := &node{kind: scalar, plain: true, pos: root.pos}
		if o.scalar(n, []string{key}); n.override {
			root.entries = append(root.entries, &entry{key: key, pos: n.pos, value: n})
		}
	}
}

// unused names the variables of environ that look like overrides and met no
// scalar.
func (o *overrides) unused(environ []string) []string {
	var warnings []string
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if _, met := o.used[name]; met || value == "" {
			continue
		}
		for _, block := range []string{"MAILBOXES__", "SINKS__", "DEFAULTS__"} {
			if strings.HasPrefix(name, envPrefix+block) {
				warnings = append(warnings, fmt.Sprintf("the variable %s overrides nothing: no value in the files has that key path; write the key there, empty, for the variable to fill it", name))
			}
		}
	}
	return warnings
}

// nest makes the map in which value stands at path.
func nest(path []string, value any) map[string]any {
	for i := len(path) - 1; i >= 0; i-- {
		value = map[string]any{path[i]: value}
	}
	return value.(map[string]any)
}
