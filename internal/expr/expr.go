// Package expr compiles and evaluates expr-lang expressions over variables whose
// fields go by their JSON names: conditions, which are true or false, and values,
// for the holes of templates.
//
// A Language says what conditions may speak of. Its type parameter is a struct;
// the fields with a json tag are the variables, and theirs the fields:
//
//	type subject struct {
//		Message *parser.Message `json:"message"`
//	}
//	lang := expr.New[subject](functions...)
//	program, err := lang.Compile(`message.size > 1000 and message.bounce == nil`)
//	holds, err := program.Eval(&subject{m})
//
// Compile finds every unknown name, with the nearest right one and the place. To
// what expr-lang gives, conditions add one rule: what is absent counts as empty,
// a text as "", a number as 0, a list as [], a time as the year 1, an object as
// one whose fields are all absent; a list has an absent element beyond its end.
// Only a comparison with nil tells absent from empty. So a mail without a subject
// makes no condition fail.
//
// Expressions are bounded whatever they say and whatever they are given: see
// MaxSource, MaxNodes, MaxSteps, MaxElements and MaxText. There is no clock in
// them, so that the same values always give the same answer.
package expr

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// The bounds of an expression and of its evaluation.
const (
	MaxSource   = 4 << 10 // octets of an expression
	MaxNodes    = 1000    // names, values, operators and calls in it
	MaxSteps    = 200_000 // of one evaluation; see Meter
	MaxElements = 100_000 // of all lists one evaluation makes
	MaxText     = 1 << 20 // octets of a text that are looked at; the rest is not seen
)

// Function is one that conditions may call.
type Function[E any] struct {
	Name string
	// Type is a nil func of the type conditions see: func(string) bool(nil).
	// Parameters are strings; with Apply they may be int and any, too.
	Type any
	// Call gets as many arguments as Type has parameters. What it makes, it counts.
	Call func(env *E, m *Meter, args []string) (any, error)
	// Apply stands in the place of Call where not all parameters are strings. An
	// argument for any is what a pointer leads to; nil where it leads nowhere.
	Apply func(env *E, m *Meter, args []any) (any, error)
	// Check looks at the arguments that are literals when the condition is
	// compiled; others are nil. It may be nil.
	Check func(literals []*string) error
	// Lower says that the result is a text in lower case. Literals it is compared
	// with are taken as if they were, too.
	Lower bool
}

// Language compiles conditions over an E. It is safe for concurrent use.
type Language[E any] struct {
	names     *names
	functions map[string]function
	calls     []Function[E]
}

// Program is a compiled condition. It is safe for concurrent use.
type Program[E any] struct{ program *vm.Program }

// Error is what is wrong with an expression and where.
type Error struct {
	Line, Column int // from 1; 0 where no place is to blame
	Message      string
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return e.Message
	case e.Line == 1:
		return fmt.Sprintf("%s (at column %d)", e.Message, e.Column)
	}
	return fmt.Sprintf("%s (at line %d, column %d)", e.Message, e.Line, e.Column)
}

// frame is what a program runs over.
type frame[E any] struct {
	Env   *E
	meter Meter
}

func (f *frame[E]) budget() *Meter { return &f.meter }

// New makes a Language. It panics on an E or a function that no Language can be
// made of, which is a mistake in the program.
func New[E any](functions ...Function[E]) *Language[E] {
	l := &Language[E]{names: newNames[E](), functions: map[string]function{}, calls: functions}
	for _, f := range functions {
		l.functions[f.Name] = newFunction(f.Name, f.Type, f.Check, f.Lower, f.Apply != nil)
	}
	return l
}

// Compile checks and compiles a condition. Its error is an *Error.
func (l *Language[E]) Compile(source string) (*Program[E], error) {
	program, err := l.compile(source, reflect.Bool)
	if err != nil {
		return nil, err
	}
	return &Program[E]{program}, nil
}

// CompileValue checks and compiles an expression that gives a value. Its error is
// an *Error.
func (l *Language[E]) CompileValue(source string) (*Value[E], error) {
	program, err := l.compile(source, reflect.Invalid)
	if err != nil {
		return nil, err
	}
	return &Value[E]{program}, nil
}

func (l *Language[E]) compile(source string, gives reflect.Kind) (_ *vm.Program, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = &Error{Message: fmt.Sprintf("a defect in the compiler of expressions: %v", fault)}
		}
	}()
	if len(source) > MaxSource {
		return nil, &Error{Message: fmt.Sprintf("the expression has %d octets; %d are the most", len(source), MaxSource)}
	}
	if strings.TrimSpace(source) == "" {
		return nil, &Error{Message: "the expression is empty"}
	}
	config := l.config()
	c := &compiling{names: l.names, functions: l.functions, config: config}
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		return nil, l.names.polish(err, source)
	}
	tree.Node = c.resolve(tree.Node)
	if c.err == nil {
		// This check is for the types, which the next steps need. Its error does
		// not count: guard makes texts of what may be a text.
		_, _ = checker.Check(tree, config)
		c.verify(tree.Node)
	}
	if c.err != nil {
		return nil, l.names.polish(c.err.Bind(tree.Source), source)
	}
	tree.Node = c.guard(tree.Node, gives == reflect.Invalid)
	config.Expect = gives
	if _, err = checker.Check(tree, config); err != nil {
		return nil, l.names.polish(err, source)
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, l.names.polish(err, source)
	}
	return program, nil
}

// config is fresh for each compilation: it caches what it sees.
func (l *Language[E]) config() *conf.Config {
	config := conf.New(&frame[E]{})
	config.MaxNodes = MaxNodes
	config.Optimize = false
	for name := range config.Builtins {
		if !builtins[name] {
			config.Disabled[name] = true
			delete(config.Builtins, name)
		}
	}
	for _, f := range l.functions {
		config.Functions[f.Name] = f.declared()
	}
	for _, f := range l.calls {
		f := l.bind(f)
		config.Functions[f.Name] = f
	}
	return config
}

// Eval tells whether the condition holds for env, which must not change
// meanwhile. It fails where a bound is exceeded, and on what cannot be computed
// (a division by zero, a date that is none). It never panics.
func (p *Program[E]) Eval(env *E) (bool, error) {
	out, err := run(p.program, env)
	if err != nil {
		return false, err
	}
	holds, ok := out.(bool)
	if !ok {
		return false, &Error{Message: fmt.Sprintf("the expression gave %s instead of true or false", kindOf(out))}
	}
	return holds, nil
}

// Value is a compiled expression that gives a value. It is safe for concurrent
// use.
type Value[E any] struct{ program *vm.Program }

// Eval gives the value for env: nil where it is absent, and what a pointer leads
// to. It fails and ends where Program.Eval does.
func (v *Value[E]) Eval(env *E) (any, error) {
	out, err := run(v.program, env)
	return follow(out), err
}

func run[E any](program *vm.Program, env *E) (any, error) {
	machine := vm.VM{MemoryBudget: MaxElements}
	out, err := machine.Run(program, &frame[E]{Env: env, meter: Meter{left: MaxSteps}})
	if err != nil {
		return nil, evaluation(err)
	}
	return out, nil
}

// maxMessage is how long the message of an evaluation may be, in octets.
const maxMessage = 300

// evaluation is the error in our words.
func evaluation(err error) error {
	var located *file.Error
	if !errors.As(err, &located) {
		return &Error{Message: err.Error()}
	}
	message := located.Message
	if strings.Contains(message, "memory budget exceeded") {
		message = fmt.Sprintf("the lists it makes have more than %d elements", MaxElements)
	}
	if len(message) > maxMessage {
		message = message[:maxMessage] + "…" // it may quote the mail
	}
	return &Error{Line: located.Line, Column: located.Column + 1, Message: message}
}

// kindOf names the kind of a result.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case string:
		return "a text"
	}
	return fmt.Sprintf("a value of type %T", v)
}
