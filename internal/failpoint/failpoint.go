// Package failpoint ends the process at a named point, as kill -9 would, so that
// tests see what a crash there leaves behind.
//
//	failpoint.Hit("spool.take.commit.before")
//
// Without the environment variable POSTFERRY_FAIL a Hit is one comparison. With
// POSTFERRY_FAIL=spool.take.commit.before:hit#3 the process sends itself SIGKILL
// the third time it comes by that point; without :hit#3, the first time. With
// :stop#3 it sends itself SIGSTOP and goes no further: another process finds it
// there and kills it.
//
// A name is ROOM.STEP, and where a step takes time, ROOM.STEP.before and
// ROOM.STEP.after: spool.rename.before, pop3.quit.after. Each name stands in
// points.go, where a test that walks through all of them finds it. A Hit of a
// name that does not stand there, or a variable that names none, panics when
// POSTFERRY_FAIL is set, so that a misspelt test cannot pass.
package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable is the environment variable that arms a point.
const Variable = "POSTFERRY_FAIL"

// armed is a point that ends the process; nil without one.
type armed struct {
	name string
	left atomic.Int64
	end  func() // does not return
}

// point is set once, from the environment the process was started with.
var point = fromEnvironment(os.Getenv(Variable))

func fromEnvironment(text string) *armed {
	if text == "" {
		return nil
	}
	a, err := parse(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", Variable, err))
	}
	return a
}

func parse(text string) (*armed, error) {
	end := kill
	name, count, counted := strings.Cut(text, ":hit#")
	if !counted {
		if name, count, counted = strings.Cut(text, ":stop#"); counted {
			end = stop
		}
	}
	k := int64(1)
	if counted {
		var err error
		if k, err = strconv.ParseInt(count, 10, 64); err != nil || k < 1 {
			return nil, fmt.Errorf("%q is not NAME, NAME:hit#K or NAME:stop#K with K from 1", text)
		}
	}
	if !slices.Contains(Points, name) {
		return nil, fmt.Errorf("%q is no point", name)
	}
	a := &armed{name: name, end: end}
	a.left.Store(k)
	return a, nil
}

// Armed tells whether a point is set, for callers that would do work to find
// the name.
func Armed() bool { return point != nil }

// Hit is passing the point of that name.
func Hit(name string) {
	if point != nil {
		point.hit(name, point.end)
	}
}

func (a *armed) hit(name string, end func()) {
	if !slices.Contains(Points, name) {
		panic(fmt.Sprintf("failpoint %q does not stand in Points", name))
	}
	if name == a.name && a.left.Add(-1) == 0 {
		end()
	}
}

// kill does not return: nothing deferred runs and nothing is flushed.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // to itself it cannot fail
	select {}
}

// stop does not return either, when the process is continued.
func stop() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	select {}
}
