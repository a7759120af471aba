package config

import (
	"fmt"
	"slices"
	"strings"
)

// mergeFiles makes one tree of the files of a folder, which stand side by side:
// mailboxes and sinks are collected from all, and the same name twice is an
// error; of the other top-level keys the last one holds, of `defaults` each key
// by itself.
func mergeFiles(roots []*node) (*node, Errors) {
	var errs Errors
	all := &node{kind: mapping, pos: roots[0].pos}
	at := map[string]*entry{}
	for _, root := range roots {
		for _, e := range root.entries {
			have := at[e.key]
			switch {
			case strings.HasPrefix(e.key, "x-"):
			case have == nil:
				at[e.key] = e
				all.entries = append(all.entries, e)
			case (e.key == "mailboxes" || e.key == "sinks") && have.value.kind == mapping && e.value.kind == mapping:
				errs = append(errs, collect(e.key, have.value, e.value)...)
			case e.key == "defaults" && have.value.kind == mapping && e.value.kind == mapping:
				overlay(have.value, e.value, 1)
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

// overlay puts the keys of over, which was named later, into base: blocks are
// merged, all else is replaced, and within a mailbox or sink (depth 2) another
// way to give a secret replaces the one there was.
func overlay(base, over *node, depth int) {
	at := make(map[string]*entry, len(base.entries))
	for _, e := range base.entries {
		at[e.key] = e
	}
	if depth >= 2 {
		base.entries = slices.DeleteFunc(base.entries, func(e *entry) bool {
			return over.find(e.key) == nil && slices.ContainsFunc(over.entries, func(o *entry) bool {
				return secretOf(o.key) == secretOf(e.key)
			})
		})
	}
	for _, e := range over.entries {
		have := at[e.key]
		if have != nil && have.value.kind == mapping && e.value.kind == mapping {
			overlay(have.value, e.value, depth+1)
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
	have, at := make(map[string]bool, len(base.entries)), make(map[string]*entry, len(base.entries))
	for _, e := range base.entries {
		have[secretOf(e.key)], at[e.key] = true, e
	}
	for _, d := range defaults.entries {
		if e := at[d.key]; e != nil && e.value.kind == mapping && d.value.kind == mapping {
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
