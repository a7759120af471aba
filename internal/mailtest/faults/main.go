// Command faults shows that the tests would find what they are there to find: it
// puts one defect after the other into a copy of the module, and wants the test
// that the defect names to fail with it, and to pass without.
//
//	go run ./internal/mailtest/faults            all of them, as make faults does
//	go run ./internal/mailtest/faults quit fsync those with such a name
//
// A fault is a patch in testdata that begins with what it is, the package and the
// test. The checkout itself is never changed. It exits with 1 if a fault was not
// caught.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) (err error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	faults, err := all()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		faults = slices.DeleteFunc(faults, func(f fault) bool {
			return !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(f.name, n) })
		})
	}
	dir, err := os.MkdirTemp("", "postferry-faults-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root := filepath.Join(dir, "postferry")
	if err := copyTree(filepath.Dir(strings.TrimSpace(string(mod))), root); err != nil {
		return fmt.Errorf("copy the module: %w", err)
	}
	caught := 0
	sound := map[string]error{}
	for i, f := range faults {
		start := time.Now()
		if _, known := sound[f.pkg+f.test]; !known {
			sound[f.pkg+f.test] = f.sound(ctx, root)
		}
		err := sound[f.pkg+f.test]
		if err == nil {
			var text string
			if text, err = f.seed(ctx, root); err != nil {
				err = fmt.Errorf("%w\n%s", err, text)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Printf("%d/%d NOT CAUGHT %s: %v\n", i+1, len(faults), f.name, err)
			continue
		}
		caught++
		fmt.Printf("%d/%d caught %s by %s %s, %.0f s\n", i+1, len(faults), f.name, f.pkg, f.test, time.Since(start).Seconds())
	}
	fmt.Printf("%d of %d faults caught\n", caught, len(faults))
	if caught < len(faults) || caught == 0 {
		return fmt.Errorf("%d of %d faults were not caught", len(faults)-caught, len(faults))
	}
	return nil
}

// sound is nil if the test passes without the fault.
func (f fault) sound(ctx context.Context, root string) error {
	v, text, err := f.try(ctx, root)
	if err == nil && v == failed {
		err = errors.New("the test fails without the fault")
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}
