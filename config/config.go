package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Config is a loaded configuration. It does not change; a reload loads another.
type Config struct {
	Version   int           // 1
	Store     Store         // where the spool is
	Retain    time.Duration // delivered mail is kept this long for replay; 0: not at all
	Listen    string        // host:port of health, metrics and API; "": off
	Quota     Size          // what the store may take of the disk; 0: no limit
	Mailboxes []*Mailbox    // in the order of the files
	Sinks     []*Sink       // in the order of the files
	Files     []string      // read, in order
	Dir       string        // absolute folder of the first file

	env      *environment
	root     *node
	notes    []string
	defaults *node
}

// Options say what a load looks at besides the files.
type Options struct {
	// Flags by key path, such as "store" or "listen"; one that was given on the
	// command line wins over variable and file.
	Flags map[string]*pflag.Flag
	// Lookup gives an environment variable; nil means os.LookupEnv.
	Lookup func(name string) (string, bool)
	// Environ lists the environment as NAME=value, for a warning about variables
	// that override nothing; nil means os.Environ if Lookup is nil too, else none.
	Environ func() []string
	// SkipSecrets leaves password_file unread and password_command unrun: such
	// secrets stay empty. For commands that only look at the configuration.
	SkipSecrets bool
}

// top are the keys of the file itself.
type top struct {
	Version int           `config:"version,required" doc:"1, the version of this format"`
	Store   string        `config:"store" doc:"where mail is kept until it is delivered: sqlite:FILE, relative to this file, or to $STATE_DIRECTORY if that is set"`
	Retain  time.Duration `config:"retain" doc:"delivered mail is kept for replay this long; 0: not at all"`
	Listen  string        `config:"listen" doc:"address of health checks, metrics and the API; empty: off"`
	Quota   Size          `config:"quota" doc:"what the store may take of the disk, as in 2GB or 500MiB; 0: no limit"`
}

var topType = reflect.TypeFor[top]()

func (t *top) SetDefaults() {
	t.Store, t.Retain, t.Listen = "sqlite:postferry.db", 7*day, "127.0.0.1:8425"
}

func (t *top) Validate() error {
	if t.Version != 1 {
		return At("version", fmt.Errorf("%d is not known to this postferry; write 1", t.Version))
	}
	if 0 < t.Quota && t.Quota < minQuota {
		return At("quota", fmt.Errorf("%s is less than a store needs; write 1MB or more, or 0 for no limit", t.Quota))
	}
	return At("listen", checkListen(t.Listen))
}

// minQuota is below what any store can work with: a unit was forgotten.
const minQuota = 1_000_000

// blocks are the top-level keys that are read by themselves.
var blocks = []string{"defaults", "mailboxes", "sinks"}

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

// decode fills c from its nodes.
func (c *Config) decode() Errors {
	section := newSection(c.env, "", c.root)
	section.keys = blocks
	var t top
	errs := flatten(nil, section.Decode(&t))
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

// Mailbox gives the mailbox of that name, or nil.
func (c *Config) Mailbox(name string) *Mailbox {
	for _, m := range c.Mailboxes {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Sink gives the sink of that name, or nil.
func (c *Config) Sink(name string) *Sink {
	for _, s := range c.Sinks {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Warnings say what is allowed but probably not meant: a file with secrets in
// clear that every user can read, a variable that overrides nothing, one account
// under two names. It is complete once every Section has been decoded.
func (c *Config) Warnings() []string {
	warnings := append([]string(nil), c.notes...)
	warnings = append(warnings, c.env.openSecrets()...)
	return append(warnings, c.twins()...)
}

// twins finds mailboxes that are one account.
func (c *Config) twins() []string {
	var warnings []string
	first := map[string]*Mailbox{}
	for _, m := range c.Mailboxes {
		key := strings.ToLower(m.Server) + " " + m.Username
		if other := first[key]; other != nil && m.Username != "" {
			warnings = append(warnings, fmt.Sprintf("mailboxes.%s and mailboxes.%s are the same account (%s): a mail goes to the one that takes it first",
				other.Name, m.Name, m.Section.node.pos))
			continue
		}
		first[key] = m
	}
	return warnings
}

var errName = errors.New("a name is made of a-z, 0-9, - and _")

// checkName holds names to what variables, logs and metrics can carry.
func checkName(name string) error {
	if name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" {
		return nil
	}
	if len(name) > 64 {
		return errors.New("a name has at most 64 characters")
	}
	if plain := simplify(name); plain != "" {
		return fmt.Errorf("%w; write %s", errName, plain)
	}
	return errName
}

// simplify makes a name of the letters and digits there are.
func simplify(name string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(plain, "-")
}
