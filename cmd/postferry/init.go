package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

//go:embed starter.yaml
var starter string

func (c *cli) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented configuration to start from",
		Long: `Init writes a commented configuration to FILE, ./postferry.yaml unless named, or
to standard output for -. It never overwrites a file.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(errors.New("init writes one FILE"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			name := "postferry.yaml"
			if len(args) == 1 {
				name = args[0]
			}
			if name == "-" {
				_, err := fmt.Fprint(c.out, starter)
				return err
			}
			return c.writeStarter(name)
		},
	}
}

// writeStarter makes the file, readable by its owner alone: passwords get into
// such files.
func (c *cli) writeStarter(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usageError(fmt.Errorf("%s is there already, and init overwrites nothing", name))
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	_, err = f.WriteString(starter)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	fmt.Fprintf(c.out, "%s is written: fill in server, user and sink, then run `postferry check`\n", name)
	return nil
}
