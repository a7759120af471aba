// Command postferry ferries mail from POP3 and IMAP mailboxes to webhooks and
// files: it takes each mail durably, turns it into JSON, delivers it until the
// receiver has said yes, and only then settles it on the server.
//
// main.go holds the frame; each command stands in a file of its own; kinds.go
// lists the kinds of mailboxes and sinks; service.go puts the halves together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ()}
	code := c.main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// cli is one invocation: its streams, its environment and the flags every
// command shares.
type cli struct {
	in       io.Reader
	out, err io.Writer
	env      []string

	configs   []string
	logLevel  string
	logFormat string
}

// main runs one command line and returns its exit code. It prints an error that
// ends a command once, as one line.
func (c *cli) main(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	var said *exitError
	if err != nil && !(errors.As(err, &said) && said.quiet) {
		fmt.Fprintln(c.err, "postferry:", err)
	}
	return exitCode(err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "postferry COMMAND",
		Short:         "Ferry mail from mailboxes to software, never losing one",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError(unknownCommand(cmd, args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	flags := root.PersistentFlags()
	flags.StringArrayVarP(&c.configs, "config", "c", nil, "configuration `FILE` or folder; may be given several times")
	flags.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&c.logFormat, "log-format", "", "text or json; text on a terminal, else json")
	root.AddCommand(c.demoCommand(), c.initCommand(), c.runCommand(), c.parseCommand(), c.checkCommand(), c.explainCommand(), c.configCommand(), c.statusCommand(),
		c.sendCommand(), c.listCommand(), c.showCommand(), c.tailCommand(), c.replayCommand(), c.deadCommand(), c.forgetCommand(), c.versionCommand())
	return root
}

func unknownCommand(root *cobra.Command, name string) error {
	err := fmt.Errorf("there is no command %q", name)
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("%w; did you mean %q?", err, near[0])
	}
	return fmt.Errorf("%w; `postferry help` lists them", err)
}
