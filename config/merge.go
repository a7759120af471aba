package config

import (
	"fmt"
	"strings"
)

// mergeFiles lays later files over earlier ones: keys of `defaults` one by one,
// other top-level keys as a whole. Mailboxes and sinks are collected from all
// files; the same name twice is an error, never an override.
func mergeFiles(roots []*node) (*node, Errors) {
	var errs Errors
	all := &node{kind: mapping, pos: roots[0].pos}
	for _, root := range roots {
		for _, e := range root.entries {
			have := all.find(e.key)
			switch {
			case strings.HasPrefix(e.key, "x-"):
			case have == nil:
				all.entries = append(all.entries, e)
			case (e.key == "mailboxes" || e.key == "sinks") && have.value.kind == mapping && e.value.kind == mapping:
				errs = append(errs, collect(e.key, have.value, e.value)...)
			case e.key == "defaults" && have.value.kind == mapping && e.value.kind == mapping:
				overlay(have.value, e.value)
			default:
				*have = *e
			}
		}
	}
	return all, errs
}

// collect adds the named blocks of more to all.
func collect(what string, all, more *node) Errors {
	var errs Errors
	first := make(map[string]*entry, len(all.entries))
	for _, e := range all.entries {
		first[e.key] = e
	}
	for _, e := range more.entries {
		if have := first[e.key]; have != nil {
			errs = append(errs, &Error{File: e.pos.file, Line: e.pos.line, Path: join(what, e.key),
				Err: fmt.Errorf("the name is taken: %s has one of the same name; rename one of them", have.pos)})
			continue
		}
		all.entries = append(all.entries, e)
	}
	return errs
}

// overlay puts the keys of over into base; blocks are merged, all else replaced.
func overlay(base, over *node) {
	for _, e := range over.entries {
		have := base.find(e.key)
		if have != nil && have.value.kind == mapping && e.value.kind == mapping {
			overlay(have.value, e.value)
		} else if have != nil {
			*have = *e
		} else {
			base.entries = append(base.entries, e)
		}
	}
}

// underlay gives base the keys of defaults that it lacks; blocks are merged, a
// key that is there wins, also when it is null. The ways to give one secret (and
// password and oauth2, the two ways to sign in) count as the same key.
func underlay(base, defaults *node) {
	have := make(map[string]bool, len(base.entries))
	for _, e := range base.entries {
		have[secretOf(e.key)] = true
	}
	for _, d := range defaults.entries {
		if e := base.find(d.key); e != nil && e.value.kind == mapping && d.value.kind == mapping {
			underlay(e.value, d.value)
			continue
		}
		if have[secretOf(d.key)] {
			continue
		}
		value := d.value.clone()
		markInherited(value)
		base.entries = append(base.entries, &entry{key: d.key, pos: d.pos, value: value, inherited: true})
	}
}

func markInherited(n *node) {
	if n.source == "" {
		n.source = fmt.Sprintf("defaults, %s", n.pos)
	}
	for _, e := range n.entries {
		e.inherited = true
		markInherited(e.value)
	}
	for _, item := range n.items {
		markInherited(item)
	}
}

// secretOf gives the key by which a secret is known whichever way it is given.
func secretOf(key string) string {
	if key == "oauth2" {
		return "password"
	}
	return strings.TrimSuffix(strings.TrimSuffix(key, "_file"), "_command")
}
