package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// outputFlag is the -o of commands that read: text for people, json for programs.
type outputFlag struct{ format string }

func (o *outputFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "text or json")
}

// check refuses other formats.
func (o *outputFlag) check() error {
	if o.format != "text" && o.format != "json" {
		return usageError(fmt.Errorf("-o %q is not text or json", o.format))
	}
	return nil
}

// write prints v as JSON, or calls text.
func (o *outputFlag) write(w io.Writer, v any, text func()) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.format == "text" {
		text()
		return nil
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// noArgs refuses arguments with the exit code of wrong usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(fmt.Errorf("%s takes no arguments, and got %q", cmd.Name(), args[0]))
	}
	return nil
}
