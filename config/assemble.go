package config

import (
	"fmt"
	"maps"
	"slices"
)

// decode fills c from its nodes.
func (c *Config) decode() Errors {
	section := newSection(c.env, "", c.root)
	section.keys = blocks
	var t top
	errs := flatten(nil, section.Decode(&t))
	c.PublicURL, c.LinkSecret = t.PublicURL, t.LinkSecret
	c.Version, c.Retain, c.Listen, c.Quota = t.Version, t.Retain, t.Listen, t.Quota
	var err error
	if c.Store, err = c.env.store(t.Store, c.root.find("store")); err != nil {
		errs = flatten(errs, section.Error("store", err))
	}
	for _, e := range c.root.entries {
		for _, block := range blocks {
			if e.key != block {
				continue
			}
			e.known = true
			d := &decoder{env: c.env}
			if e.value.isNull() || d.want(e.value, e.key, mapping) {
				c.block(e)
			}
			errs = append(errs, d.errs...)
		}
	}
	errs = flatten(errs, section.Finish())
	for _, s := range c.Sinks {
		errs = flatten(errs, s.decode())
	}
	for _, m := range c.Mailboxes {
		errs = flatten(errs, m.decode())
	}
	errs = append(errs, c.dangling()...)
	return errs
}

// block makes the sections of a block of named ones.
func (c *Config) block(block *entry) {
	for _, e := range block.value.entries {
		if e.value.isNull() {
			e.value = &node{kind: mapping, pos: e.pos}
		}
		section := newSection(c.env, join(block.key, e.key), e.value)
		switch block.key {
		case "mailboxes":
			c.Mailboxes = append(c.Mailboxes, &Mailbox{Name: e.key, Section: section, pos: e.pos})
		case "sinks":
			c.Sinks = append(c.Sinks, &Sink{Name: e.key, Section: section, pos: e.pos})
		}
	}
}

// dangling finds routes to sinks that are not there.
func (c *Config) dangling() Errors {
	var errs Errors
	names := make([]string, 0, len(c.Sinks))
	have := map[string]bool{}
	for _, s := range c.Sinks {
		names = append(names, s.Name)
		have[s.Name] = true
	}
	for _, m := range c.Mailboxes {
		for _, r := range m.Deliver {
			if r.To != "" && !have[r.To] {
				errs = flatten(errs, r.locate("to", fmt.Errorf("no sink is called %q%s", shorten(r.To), hint(r.To, names))))
			}
		}
	}
	return errs
}

// Finish reports, after every Section has been decoded by its kind, the keys
// that none knew: in mailboxes, in sinks, and in `defaults:` those that no
// mailbox took.
func (c *Config) Finish() error {
	var errs Errors
	known, all := map[string]bool{}, true
	for _, m := range c.Mailboxes {
		if !m.Section.ofKind() {
			all = false
			continue
		}
		errs = flatten(errs, m.Section.Finish())
		for _, key := range m.Section.keys {
			known[key] = true
		}
	}
	for _, s := range c.Sinks {
		if s.Section.ofKind() {
			errs = flatten(errs, s.Section.Finish())
		}
	}
	if c.defaults == nil || len(c.Mailboxes) == 0 || !all {
		return errs.result()
	}
	keys := slices.Sorted(maps.Keys(known))
	for _, e := range c.defaults.entries {
		if !known[e.key] {
			errs = append(errs, &Error{File: e.pos.file, Line: e.pos.line, Path: join("defaults", e.key),
				Err: fmt.Errorf("no mailbox knows the key%s", hint(e.key, keys))})
		}
	}
	return errs.result()
}
