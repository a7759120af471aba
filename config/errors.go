package config

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Error is one thing wrong with the configuration.
type Error struct {
	File string // as the user named it; the variable's or flag's name for a value from there
	Line int    // from 1; 0 when there is no line to point at
	Path string // key path, "mailboxes.support.schedule"; "" for the file itself
	Err  error  // what is wrong and what to change; holds no secret
}

// Error implements error: "file.yaml:12: mailboxes.support.schedule: what is wrong".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors are all things wrong that one load found, in the order of the files
// and their lines, each on a line of its own.
type Errors []*Error

// Error implements error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single errors.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// Join makes one error of those given, nil if all are nil: lists are flattened,
// repetitions dropped and the whole sorted by file and line.
func Join(errs ...error) error {
	var all Errors
	for _, err := range errs {
		all = flatten(all, err)
	}
	return all.result()
}

// flatten appends the *Errors within err; a foreign error is kept as one
// without a place.
func flatten(all Errors, err error) Errors {
	if err == nil {
		return all
	}
	if one, ok := err.(*Error); ok {
		return append(all, one)
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range many.Unwrap() {
			all = flatten(all, each)
		}
		return all
	}
	var one *Error
	if errors.As(err, &one) {
		return append(all, one)
	}
	return append(all, &Error{Err: err})
}

// result sorts, drops repetitions and gives nil for none. Files keep the order
// in which they first appear.
func (e Errors) result() error {
	if len(e) == 0 {
		return nil
	}
	order := map[string]int{}
	for _, one := range e {
		if _, seen := order[one.File]; !seen {
			order[one.File] = len(order)
		}
	}
	sort.SliceStable(e, func(i, j int) bool {
		if e[i].File != e[j].File {
			return order[e[i].File] < order[e[j].File]
		}
		return e[i].Line < e[j].Line
	})
	out, seen := e[:0:0], map[string]bool{}
	for _, one := range e {
		if text := one.Error(); !seen[text] {
			seen[text] = true
			out = append(out, one)
		}
	}
	return out
}

// At says that err is about the key, so that the error a Validate method
// returns points at the key's own line. It gives nil for a nil err.
func At(key string, err error) error {
	if err == nil {
		return nil
	}
	return &keyError{key, err}
}

type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }
