package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// checksAtOnce bounds how many targets are looked at at a time.
const checksAtOnce = 8

// check looks at all targets, several at a time, and tells of each as soon as
// it and all before it are done.
func (c *cli) check(ctx context.Context, output outputFlag, targets []target, f checkFlags) error {
	r := &checkReport{OK: true}
	slots := semaphore.NewWeighted(checksAtOnce)
	var work sync.WaitGroup
	defer work.Wait()
	for _, t := range targets {
		r.Targets = append(r.Targets, t.checkTarget)
		work.Go(func() {
			defer close(t.done)
			if err := slots.Acquire(ctx, 1); err != nil {
				t.skip(t.Kind)
				t.failed(exitTemporary)
				return
			}
			defer slots.Release(1)
			t.look(ctx, t.checkTarget)
		})
	}
	for _, t := range r.Targets {
		<-t.done
		if !t.OK {
			r.OK = false
			r.ExitCode = worse(r.ExitCode, t.code)
		}
		if output.format == "text" {
			c.printTarget(t)
		}
	}
	if err := output.write(c.out, r, func() { c.printSummary(r) }); err != nil {
		return err
	}
	if !r.OK {
		return &exitError{code: r.ExitCode, err: errors.New("the check failed"), quiet: true}
	}
	return nil
}

// marks stand before the line of a step.
var marks = map[string]string{stepOK: "✓", stepWarning: "!", stepFailed: "✗", stepSkipped: "-"}

func (c *cli) printTarget(t *checkTarget) {
	title := t.Kind
	if t.Name != "" {
		title += " " + t.Name
	}
	if t.Where != "" {
		title += " (" + t.Where + ")"
	}
	fmt.Fprintln(c.out, title)
	for _, s := range t.Steps {
		line := fmt.Sprintf("  %s %-13s %s", marks[s.Status], s.Step, s.Said)
		if s.Took > 0 {
			line += fmt.Sprintf(" (%s)", shortly(s.Took))
		}
		fmt.Fprintln(c.out, strings.TrimRight(line, " "))
		if s.Warning != "" {
			fmt.Fprintf(c.out, "    %-13s %s\n", "warning:", s.Warning)
		}
		if s.Fix != "" {
			fmt.Fprintf(c.out, "    %-13s %s\n", "fix:", s.Fix)
		}
		for _, l := range s.Transcript {
			fmt.Fprintf(c.err, "      %9.3fs %s: %s\n", l.At/1000, l.From, l.Line)
		}
		if s.Omitted > 0 {
			fmt.Fprintf(c.err, "      … %s\n", count(s.Omitted, "further line", "further lines"))
		}
	}
}

// shortly writes milliseconds for people.
func shortly(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// printSummary says at the end which targets are not well.
func (c *cli) printSummary(r *checkReport) {
	warnings := 0
	var ill []string
	for _, t := range r.Targets {
		if !t.OK {
			ill = append(ill, strings.TrimSpace(t.Kind+" "+t.Name))
		}
		for _, s := range t.Steps {
			if s.Status == stepWarning {
				warnings++
			}
		}
	}
	said := "\nall is well"
	if len(ill) > 0 {
		said = "\nfailed: " + strings.Join(ill, ", ")
	}
	if warnings > 0 {
		said += "; " + count(warnings, "warning", "warnings")
	}
	fmt.Fprintln(c.out, said)
}
