// Package exec gives mail to a program: what the sink's format makes is on the
// program's standard input, the delivery's id and where the mail was taken in its
// environment, and its exit status decides. There is no shell, and nothing of the
// mail is in arguments or variables.
//
// The statuses are those of sysexits.h:
//
//	0                                   delivered
//	65 67 68 (data, user, host)         the mail's fault: a dead letter
//	64 69 72 73 77 78, 126 127          the sink's fault: held, one probe follows the schedule
//	75 (tempfail), every other, signals tried again as the schedule says
//
// 64 is usage, 69 unavailable, 72 and 73 files, 77 permission, 78 configuration; 126
// and 127 are a shell's for a program that cannot be run. A program that cannot be
// started is the sink's fault too, and one that exceeds its time is tried again.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/queue"
)

// Sink runs one program for each delivery. It implements sinks.Sink, Previewer and
// Checker.
type Sink struct {
	name    string
	options Options
	render  payload.Renderer
	fixed   []string
	mask    queue.Mask
	clock   clock.Clock
}

// New makes the sink of that name. It starts nothing, and does not look whether the
// program is there: Check does, and the first delivery. Its errors say which option
// to change; they hold no secret.
func New(name string, o Options, r payload.Renderer, e sinks.Env) (*Sink, error) {
	e = e.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if r.NeedsHeader() {
		return nil, errors.New("this format has a part of each event in header fields, which a program does not get: use mode: structured")
	}
	if r.Clock == nil {
		r.Clock = e.Clock
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	var values []string
	for _, v := range o.Env {
		values = append(values, v.Reveal())
	}
	return &Sink{name: name, options: o, render: r, fixed: o.fixed(), mask: queue.NewMask(values...), clock: e.Clock}, nil
}

// errLate ends a program that takes too long.
var errLate = errors.New("the program has not ended in time")

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, d *sinks.Delivery) (sinks.Receipt, error) {
	if ctx.Err() != nil {
		return sinks.Receipt{}, context.Cause(ctx)
	}
	body, err := s.render.Render(d)
	if err != nil {
		return sinks.Receipt{}, err
	}
	defer body.Release()
	wait := s.options.Timeout + time.Duration(body.Size()>>20)*time.Second
	limited, cancel := context.WithTimeoutCause(ctx, wait, errLate)
	defer cancel()
	in := &input{ReadCloser: body.Open(), fail: cancel}
	defer in.Close()
	ran := s.run(limited, append(facts(d, body), s.fixed...), in)
	switch {
	case ctx.Err() != nil: // shutting down: it was ended before it could say anything
		return sinks.Receipt{}, fmt.Errorf("running %s: %w", s.options.Command[0], context.Cause(ctx))
	case in.err != nil:
		return sinks.Receipt{}, fmt.Errorf("reading the mail from the store: %w", in.err)
	case limited.Err() != nil:
		return sinks.Receipt{}, s.failed(ran, fmt.Errorf("%s has not ended within %s, and was killed with all it had started — raise timeout if it needs longer", s.options.Command[0], wait))
	}
	return s.judge(ran)
}

// input is the mail on its way into the program. Where it cannot be read the
// program is ended, lest it take a part for the whole.
type input struct {
	io.ReadCloser
	fail func()
	err  error
}

// Read implements io.Reader.
func (in *input) Read(p []byte) (int, error) {
	n, err := in.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		in.err = err
		in.fail()
	}
	return n, err
}

// result is what one run came to.
type result struct {
	err    error // of exec's; nil: the status is 0
	answer string
}

// linger is how long a program that was told to end may take, and how long is waited
// for what it left running to let go of its output.
const linger = 2 * time.Second

// run runs the program once, to its end and, where ctx ends it, to that of all it
// has started.
func (s *Sink) run(ctx context.Context, environment []string, in io.Reader) result {
	var out, complaint output
	cmd := exec.CommandContext(ctx, s.options.Command[0], s.options.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.options.Dir, environment, in, &out, &complaint
	cmd.WaitDelay = linger
	ownGroup(cmd)
	err := cmd.Run()
	if ctx.Err() != nil {
		killGroup(cmd)
	}
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		err = nil // the program has ended well, and left something running
	}
	answer := complaint.text(s.mask)
	if more := out.text(s.mask); answer == "" || err == nil && more != "" {
		answer = more
	}
	return result{err, answer}
}

// judge says what the program's end means.
func (s *Sink) judge(ran result) (sinks.Receipt, error) {
	if ran.err == nil {
		return sinks.Receipt{Detail: "0", Answer: ran.answer}, nil
	}
	var exit *exec.ExitError
	if !errors.As(ran.err, &exit) {
		return sinks.Receipt{}, sinks.SinkFault(fmt.Errorf("starting %s: %s — check command and dir, and that the program is there and may be run", s.options.Command[0], s.clean(ran.err.Error())))
	}
	code := exit.ExitCode()
	status := exit.String()
	if code >= 0 {
		status = fmt.Sprintf("exit status %d", code)
		if name := sysexits[code]; name != "" {
			status += " (" + name + ")"
		}
	}
	said := fmt.Errorf("%s ended with %s", s.options.Command[0], status)
	if ran.answer != "" {
		said = fmt.Errorf("%w: %s", said, ran.answer)
	}
	err := s.failed(ran, said)
	switch code {
	case exDataErr, exNoUser, exNoHost:
		return sinks.Receipt{}, sinks.Permanent(err)
	case exUsage, exUnavailable, exOSFile, exCantCreate, exNoPerm, exConfig, 126, 127:
		return sinks.Receipt{}, sinks.SinkFault(err)
	}
	return sinks.Receipt{}, err
}

// The statuses of sysexits.h that are looked at.
const (
	exUsage       = 64
	exDataErr     = 65
	exNoUser      = 67
	exNoHost      = 68
	exUnavailable = 69
	exOSFile      = 72
	exCantCreate  = 73
	exNoPerm      = 77
	exConfig      = 78
)

// sysexits are all of them, by what they say.
var sysexits = map[int]string{
	64: "usage", 65: "bad data", 66: "no input", 67: "no such user", 68: "no such host", 69: "unavailable", 70: "internal error", 71: "system error",
	72: "a file of the system's is missing", 73: "cannot create", 74: "input or output", 75: "temporary failure", 76: "protocol", 77: "no permission", 78: "configuration",
	126: "it cannot be run", 127: "it was not found",
}

// failed keeps what the program said for the record.
func (s *Sink) failed(ran result, err error) error {
	detail := "not started"
	var exit *exec.ExitError
	if errors.As(ran.err, &exit) {
		detail = fmt.Sprint(exit.ExitCode())
		if exit.ExitCode() < 0 {
			detail = exit.String()
		}
	}
	return &sinks.AttemptError{Detail: detail, Answer: ran.answer, Err: err}
}

func (s *Sink) clean(text string) string { return s.mask.Clean(text) }

// keptOutput is how many octets of an output are looked at, and shownOutput how many of
// them are kept: the end of the rest may be half a secret.
const (
	keptOutput  = 4 << 10
	shownOutput = 1 << 10
)

// output keeps the beginning of what is written and swallows the rest.
type output struct{ data []byte }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.data = append(o.data, p[:min(len(p), keptOutput-len(o.data))]...)
	return len(p), nil
}

// text is what was written, harmless to show.
func (o *output) text(mask queue.Mask) string {
	said := strings.TrimSpace(mask.Replace(string(o.data)))
	return dial.Printable(said[:min(len(said), shownOutput)])
}

// Format implements fmt.Formatter: under every verb a Sink is its name and program,
// so that printing one shows no secret.
func (s *Sink) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "exec %s of %s", s.name, s.options.Command[0])
}

// Close implements sinks.Sink. There is nothing to close: a program that runs
// belongs to its delivery.
func (s *Sink) Close() error { return nil }

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.Previewer = (*Sink)(nil)
	_ sinks.Checker   = (*Sink)(nil)
)
