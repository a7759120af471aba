package config

import (
	"os"
	"path/filepath"
	"slices"
)

// Load reads the configuration from the files and folders named, or from the
// first file of SearchPath if none is. Folders stand for their *.yaml files, in
// order; what is named later adds to and overrides what was named before, key by
// key. The files of one folder stand side by side: a mailbox or sink in two of
// them is an error.
//
// What a kind of mailbox or sink adds is not looked at: the caller decodes it
// from each Section and then calls Finish. On errors Load gives them all, as
// Errors, and a Config with what could be read, which is of use only to find
// further errors in its sections; it is nil if no file could be read at all.
func Load(paths []string, o Options) (*Config, error) {
	if o.Lookup == nil {
		o.Lookup = os.LookupEnv
		if o.Environ == nil {
			o.Environ = os.Environ
		}
	}
	layers, err := findFiles(paths, o.Lookup)
	if err != nil {
		return nil, err
	}
	root, errs, err := parseLayers(layers)
	if err != nil {
		return nil, err
	}
	files := slices.Concat(layers...)
	dir, err := filepath.Abs(filepath.Dir(files[0]))
	if err != nil {
		return nil, err
	}
	c := &Config{Files: files, Dir: dir, root: root,
		env: &environment{lookup: o.Lookup, dir: dir, skipSecrets: o.SkipSecrets}}
	errs = append(errs, c.override(o)...)
	errs = append(errs, c.decode()...)
	return c, errs.result()
}

// parseLayers reads the files and makes one tree of them. The last error is
// that of files which cannot be read at all.
func parseLayers(layers [][]string) (*node, Errors, error) {
	var roots [][]*node
	var broken, errs Errors
	for _, files := range layers {
		parsed, wrong := parseFiles(files)
		roots, broken = append(roots, parsed), append(broken, wrong...)
	}
	if len(broken) > 0 {
		return nil, nil, broken.result()
	}
	var root *node
	for _, side := range roots {
		layer, wrong := mergeFiles(side)
		errs = append(errs, wrong...)
		if root == nil {
			root = layer
			continue
		}
		overlay(root, layer, 0)
	}
	return root, errs, nil
}

func parseFiles(files []string) ([]*node, Errors) {
	var roots []*node
	var errs Errors
	for _, file := range files {
		data, err := readFile(file)
		if err != nil {
			errs = append(errs, &Error{File: file, Err: bare(err)})
			continue
		}
		root, wrong := parse(file, data)
		errs = append(errs, wrong...)
		roots = append(roots, root)
	}
	return roots, errs
}

// override lays variables and flags over the files, and defaults under the
// mailboxes; a variable may also name what a mailbox has from the defaults.
func (c *Config) override(o Options) Errors {
	by := &overrides{lookup: o.Lookup, flags: o.Flags, used: map[string]position{}}
	by.add(c.root)
	var mailboxes *node
	for _, e := range c.root.entries {
		switch {
		case e.key == "mailboxes":
			mailboxes = e.value
		case e.key == "defaults":
			c.defaults = e.value
			by.apply(e.value, []string{e.key})
		case e.key != "version" && !e.value.override: // images like to set POSTFERRY_VERSION to their own
			by.apply(e.value, []string{e.key})
		}
	}
	if mailboxes != nil {
		if c.defaults != nil && c.defaults.kind == mapping {
			for _, m := range mailboxes.entries {
				if m.value.isNull() {
					m.value = &node{kind: mapping, pos: m.pos}
				}
				if m.value.kind == mapping {
					underlay(m.value, c.defaults)
				}
			}
		}
		by.apply(mailboxes, []string{"mailboxes"})
	}
	if o.Environ != nil {
		c.notes = append(c.notes, by.unused(o.Environ())...)
	}
	return by.errs
}
