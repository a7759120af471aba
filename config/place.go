package config

import (
	"errors"
	"strconv"
	"strings"
)

// addAt adds err, at the line of the key it names (see At).
func (d *decoder) addAt(n *node, path string, err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			d.addAt(n, path, one)
		}
		return
	}
	var at *keyError
	if !errors.As(err, &at) {
		d.add(n.pos, path, err)
		return
	}
	d.errs = append(d.errs, locate(n, path, at.key, at.err))
}

// locate puts err where the key of an At, as in "tls.pin_sha256[1]", stands, or
// at the innermost block or list around it that is there.
func locate(n *node, path, key string, err error) *Error {
	pos := n.pos
	for _, word := range strings.Split(key, ".") {
		name, index, listed := strings.Cut(strings.TrimSuffix(word, "]"), "[")
		e := n.find(name)
		if e == nil {
			n, path = nil, join(path, word)
			continue
		}
		pos, n, path = placeOfValue(e), e.value, e.path(path)
		if !listed {
			continue
		}
		path += "[" + index + "]"
		if i, err := strconv.Atoi(index); err == nil && 0 <= i && i < len(n.items) {
			n = n.items[i]
			pos = n.pos
		}
	}
	return &Error{File: pos.file, Line: pos.line, Path: path, Err: n.unfilled(err)}
}

// placeOfValue is the key's place, or the variable or flag its value came from.
func placeOfValue(e *entry) position {
	if e.value.override {
		return e.value.pos
	}
	return e.pos
}

// placeOf is the place of a key that is empty, or else of its block.
func placeOf(n *node, e *entry) position {
	if e != nil {
		return e.pos
	}
	return n.pos
}
