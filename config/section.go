package config

import (
	"fmt"
	"reflect"
	"slices"
)

// Section is a block of the configuration that is decoded by whoever knows its
// keys, and by more than one: each Decode claims the keys of its struct and
// Finish reports those nobody claimed. A Section belongs to one goroutine.
type Section struct {
	env  *environment
	path string
	node *node
	keys []string // claimed by a Decode

	decodes int // 1: by Load; 2: by its kind too
}

func newSection(env *environment, path string, n *node) *Section {
	return &Section{env: env, path: path, node: n}
}

// Path is where the block stands, "mailboxes.support".
func (s *Section) Path() string { return s.path }

// Position is the file and line at which the block begins.
func (s *Section) Position() (file string, line int) { return s.node.pos.file, s.node.pos.line }

// Has reports whether the key is there and not empty.
func (s *Section) Has(key string) bool {
	e := s.node.find(key)
	return e != nil && !e.value.isNull()
}

// Decode fills the struct v points to from the keys its tags name (see the
// package comment), calls its SetDefaults before and its Validate after, and
// claims the keys. The error has all there is to say: see Errors.
func (s *Section) Decode(v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: Section.Decode wants a pointer to a struct, not %T", v))
	}
	s.decodes++
	d := &decoder{env: s.env}
	setDefaults(target.Elem())
	d.fields(s.node, s.path, target.Elem(), false)
	for _, f := range fieldsOf(target.Elem().Type()) {
		s.keys = append(s.keys, f.keys()...)
	}
	d.validate(s.node, s.path, target.Elem(), 0)
	return d.errs.result()
}

// ofKind reports whether a kind has decoded the section. If none has, its type
// is wrong, which was said, and what its keys are is not known.
func (s *Section) ofKind() bool { return s.decodes >= 2 }

// Finish reports the keys that no Decode has claimed. A key that came from
// `defaults:` is no error here, since another kind of mailbox may want it; see
// Config.Finish.
func (s *Section) Finish() error {
	var errs Errors
	for _, e := range s.node.entries {
		if !e.known && !e.inherited {
			errs = append(errs, s.error(placeOfValue(e), e.key, fmt.Errorf("unknown key%s", hint(e.key, s.keys))))
		}
	}
	return errs.result()
}

// Errorf makes an error about a key of the block, at its line; at the block's if
// the key is "" or absent.
func (s *Section) Errorf(key, format string, args ...any) error {
	return s.Error(key, fmt.Errorf(format, args...))
}

// Error puts err at the line of a key of the block, as Errorf does; with no key at
// that of the key the error is about, see At, or of the block. It gives nil for
// nil.
func (s *Section) Error(key string, err error) error {
	if err == nil {
		return nil
	}
	if about, ok := err.(*keyError); ok && key == "" {
		return locate(s.node, s.path, about.key, about.err)
	}
	if key == "" {
		return s.error(s.node.pos, "", err)
	}
	return locate(s.node, s.path, key, err)
}

// OneOf gives an error unless value, which stands under key, is one of allowed.
func (s *Section) OneOf(key, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return s.Error(key, unknownWord(value, allowed))
}

func (s *Section) error(pos position, key string, err error) *Error {
	path := s.path
	if key != "" {
		path = join(path, key)
	}
	return &Error{File: pos.file, Line: pos.line, Path: path, Err: err}
}

// Equal reports whether both blocks mean the same, secrets included, whatever
// file and order they say it in and whether a default is written out or not.
// Both must have been decoded the same way. What a file holds that a block names
// (ca_file) is not looked at, save for secrets.
func (s *Section) Equal(o *Section) bool {
	return s != nil && o != nil && s.path == o.path && s.node.equal(o.node)
}

func (n *node) equal(o *node) bool {
	if n.kind != o.kind || n.answer != o.answer || len(n.items) != len(o.items) {
		return false
	}
	if n.kind == scalar {
		return n.effective() == o.effective() && n.isNull() == o.isNull()
	}
	for i := range n.items {
		if !n.items[i].equal(o.items[i]) {
			return false
		}
	}
	mine, others := n.counting(), o.counting()
	if len(mine) != len(others) {
		return false
	}
	byKey := make(map[string]*node, len(others))
	for _, e := range others {
		byKey[e.key] = e.value
	}
	for _, e := range mine {
		if other := byKey[e.key]; other == nil || !e.value.equal(other) {
			return false
		}
	}
	return true
}

// counting lists the entries that have a meaning: those some Decode asked for,
// and the defaults of keys that are absent or empty.
func (n *node) counting() []*entry {
	all := make([]*entry, 0, len(n.entries)+len(n.defaults))
	for _, e := range n.entries {
		if e.known && !e.value.isNull() {
			all = append(all, e)
		}
	}
	return append(all, n.defaults...)
}

// effective is the text that counts: expanded if the scalar was decoded.
func (n *node) effective() string {
	if n.decoded {
		return n.value
	}
	return n.text
}
