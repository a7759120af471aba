package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/oauth"
)

// checkReport is the answer of `check -o json`.
type checkReport struct {
	OK       bool           `json:"ok"`       // nothing failed; there may be warnings
	ExitCode int            `json:"exitCode"` // of the command
	Targets  []*checkTarget `json:"targets"`  // in the order of the configuration
}

// checkTarget is one thing that was looked at.
type checkTarget struct {
	Kind  string       `json:"kind"`  // config, store, mailbox or sink
	Name  string       `json:"name"`  // of the mailbox or sink
	Where string       `json:"where"` // the server, the type of the sink, the file of the store
	OK    bool         `json:"ok"`    // no step failed
	Steps []*checkStep `json:"steps"`

	code int
	done chan struct{} // closed when the steps are there
}

// The ways a step ends.
const (
	stepOK      = "ok"
	stepWarning = "warning"
	stepFailed  = "failed"
	stepSkipped = "skipped"
)

// checkStep is one step and what was seen in it.
type checkStep struct {
	Step       string      `json:"step"`
	Status     string      `json:"status"`  // ok, warning, failed or skipped
	Said       string      `json:"said"`    // what was seen; of a failure the cause, in the server's words
	Fix        string      `json:"fix"`     // what to change; "" where nothing is
	Warning    string      `json:"warning"` // what will be trouble later; "" where nothing is
	Took       float64     `json:"tookMs"`
	Transcript []checkLine `json:"transcript,omitempty"` // with --transcript
	Omitted    int         `json:"transcriptOmitted,omitempty"`
}

// checkLine is one line of the transcript.
type checkLine struct {
	At   float64 `json:"atMs"` // since the check of the mailbox began
	From string  `json:"from"` // C, the client, or S, the server
	Line string  `json:"line"`
}

// checkFlags are the flags of check.
type checkFlags struct {
	transcript bool
	timeout    time.Duration
	loaded     time.Duration // how long the configuration took to read
	tokens     *oauth.Pool
}

func (c *cli) checkCommand() *cobra.Command {
	var output outputFlag
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [NAME…]",
		Short: "Try the configuration, the store, each mailbox and each sink",
		Long: `Check reads the configuration, looks at the store, signs in to each mailbox and
looks at its folders, and tries each sink, step by step. A step that fails tells
the cause in the server's own words, and what to change. With names it looks at
those mailboxes and sinks alone.

Nothing is changed: no mail is taken or marked, nothing is delivered, no store
is made.

With --transcript what was said on the wire goes to standard error (or into the
JSON), below the step it belongs to. What is sent while signing in is not in it,
nor is anything a server says that holds a password.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := output.check(); err != nil {
				return err
			}
			if f.timeout <= 0 {
				return usageError(fmt.Errorf("--timeout %s is not longer than nothing", f.timeout))
			}
			began := time.Now()
			s, err := c.load(cmd.Flags(), false)
			if err != nil {
				return c.badConfig(output, err)
			}
			f.loaded = time.Since(began)
			targets, err := c.targets(s, names, f)
			if err != nil {
				return err
			}
			return c.check(cmd.Context(), output, targets, f)
		},
	}
	cmd.Flags().BoolVar(&f.transcript, "transcript", false, "also show what is said on the wire, without secrets")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 20*time.Second, "the longest a step at a mail server may take")
	output.add(cmd)
	storeFlags(cmd.Flags())
	return cmd
}

// target is one thing to look at, and how.
type target struct {
	*checkTarget
	look func(context.Context, *checkTarget)
}

// targets are the configuration, the store, and the mailboxes and sinks that are
// named; with no names all of them.
func (c *cli) targets(s *setup, names []string, f checkFlags) ([]target, error) {
	all := map[string]bool{}
	var known []string
	for _, m := range s.mailboxes {
		known, all[m.Name] = append(known, m.Name), true
	}
	for _, k := range s.sinks {
		known, all[k.Name] = append(known, k.Name), true
	}
	wanted := map[string]bool{}
	for _, name := range names {
		if wanted[name] = true; !all[name] {
			return nil, usageError(unknownTarget(name, known))
		}
	}
	list := []target{
		{newTarget("config", "", strings.Join(s.Files, ", ")), func(_ context.Context, t *checkTarget) { checkConfig(s, f.loaded, t) }},
		{newTarget("store", "", s.Store.String()), func(ctx context.Context, t *checkTarget) { checkStore(ctx, s.Store.Path, t) }},
	}
	f.tokens = s.tokenPool(slog.New(slog.DiscardHandler))
	for _, m := range s.mailboxes {
		if len(names) == 0 || wanted[m.Name] {
			list = append(list, target{newTarget("mailbox", m.Name, m.Server), func(ctx context.Context, t *checkTarget) {
				checkMailbox(ctx, m, f, t)
			}})
		}
	}
	for _, k := range s.sinks {
		if len(names) == 0 || wanted[k.Name] {
			k.env.Tokens = f.tokens
			list = append(list, target{newTarget("sink", k.Name, k.Type), func(ctx context.Context, t *checkTarget) { checkSink(ctx, k, t) }})
		}
	}
	return list, nil
}

func newTarget(kind, name, where string) *checkTarget {
	return &checkTarget{Kind: kind, Name: name, Where: where, OK: true, Steps: []*checkStep{}, done: make(chan struct{})}
}

func unknownTarget(name string, known []string) error {
	if near := config.Nearest(name, known); near != "" {
		return fmt.Errorf("no mailbox or sink is called %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("no mailbox or sink is called %q; there are %s", name, strings.Join(known, ", "))
}

// add appends a step that was looked at.
func (t *checkTarget) add(step, status, said, fix string, took time.Duration) *checkStep {
	s := &checkStep{Step: step, Status: status, Said: said, Fix: fix, Took: milliseconds(took)}
	t.Steps = append(t.Steps, s)
	return s
}

// failed notes that the target is not well, and what the command exits with.
func (t *checkTarget) failed(code int) {
	t.OK = false
	t.code = worse(t.code, code)
}

// skip says of steps that they were not looked at.
func (t *checkTarget) skip(steps ...string) {
	for _, s := range steps {
		t.add(s, stepSkipped, "skipped", "", 0)
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// checkConfig tells of a configuration that was read.
func checkConfig(s *setup, took time.Duration, t *checkTarget) {
	t.add("config", stepOK, fmt.Sprintf("%s, %s", count(len(s.mailboxes), "mailbox", "mailboxes"), count(len(s.sinks), "sink", "sinks")), "", took)
	for _, w := range s.Warnings() {
		t.add("config", stepWarning, w, "", 0)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// badConfig reports a configuration that cannot be read: nothing else can be
// looked at.
func (c *cli) badConfig(output outputFlag, err error) error {
	t := newTarget("config", "", strings.Join(c.configs, ", "))
	t.failed(exitConfig)
	var all config.Errors
	if !errors.As(err, &all) {
		t.add("config", stepFailed, err.Error(), "", 0)
	}
	for _, e := range all {
		t.add("config", stepFailed, e.Error(), "", 0)
	}
	t.skip("store", "mailboxes", "sinks")
	r := &checkReport{ExitCode: exitConfig, Targets: []*checkTarget{t}}
	if err := output.write(c.out, r, func() { c.printTarget(t); c.printSummary(r) }); err != nil {
		return err
	}
	return &exitError{code: exitConfig, err: err, quiet: true}
}
