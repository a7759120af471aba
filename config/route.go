package config

import (
	"errors"
	"fmt"
)

// Route is one entry of a mailbox's deliver list; the name of a sink alone is
// short for {to: NAME}.
type Route struct {
	To   string `config:"to,required" doc:"the name of a sink"`
	When string `config:"when,raw" doc:"an expression over message and mailbox; without one, every mail"`
	Stop bool   `config:"stop" doc:"true: if the condition holds, the entries after this one are not looked at"`

	node *node
	path string
}

// UnmarshalText reads the short form.
func (r *Route) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the name of a sink is missing")
	}
	*r = Route{To: string(text)}
	return nil
}

// Error puts err, found in the route's expression, at its line. It gives nil for
// nil.
func (r Route) Error(err error) error { return r.locate("when", err) }

func (r Route) locate(key string, err error) error {
	if err == nil || r.node == nil {
		return err
	}
	if r.node.kind == scalar { // the short form
		return &Error{File: r.node.pos.file, Line: r.node.pos.line, Path: r.path, Err: r.node.unfilled(err)}
	}
	return locate(r.node, r.path, key, err)
}

func checkRoutes(routes []Route) error {
	if len(routes) == 0 {
		return At("deliver", errors.New("the list is empty: name at least one sink"))
	}
	for i, r := range routes[:len(routes)-1] {
		if r.Stop && r.When == "" {
			return At(fmt.Sprintf("deliver[%d].stop", i), errors.New("without a `when` this ends the list for every mail, so the entries after it are never reached; give the entry a `when` or put it last"))
		}
	}
	return nil
}
