package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"
)

// logger writes to standard error: text on a terminal, JSON otherwise, unless
// --log-format says which.
func (c *cli) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return nil, usageError(fmt.Errorf("--log-level %q is not debug, info, warn or error", c.logLevel))
	}
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: durationsInWords}
	switch format := strings.ToLower(c.logFormat); {
	case format == "text" || format == "" && isTerminal(c.err):
		return slog.New(slog.NewTextHandler(c.err, o)), nil
	case format == "json" || format == "":
		return slog.New(slog.NewJSONHandler(c.err, o)), nil
	}
	return nil, usageError(fmt.Errorf("--log-format %q is not text or json", c.logFormat))
}

// durationsInWords makes durations "1.5s" in JSON too, where they would be numbers
// of nanoseconds.
func durationsInWords(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
