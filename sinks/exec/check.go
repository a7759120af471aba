package exec

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
)

// Preview implements sinks.Previewer. The header is the environment.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	body, err := s.render.Render(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer body.Release()
	all, err := body.ReadAll()
	if err != nil {
		return sinks.Request{}, fmt.Errorf("reading the mail: %w", err)
	}
	header := http.Header{}
	for _, v := range facts(d, body) {
		name, value, _ := strings.Cut(v, "=")
		header[name] = []string{value}
	}
	for name := range s.options.Env {
		header[name] = []string{secret.Masked}
	}
	words := make([]string, len(s.options.Command))
	for i, word := range s.options.Command {
		if words[i] = word; word == "" || strings.ContainsAny(word, " \t\r\n\"'\\") {
			words[i] = fmt.Sprintf("%q", word)
		}
	}
	return sinks.Request{Method: "EXEC", URL: strings.Join(words, " "), Header: header, Body: append([]byte(nil), all...)}, nil
}

// Check implements sinks.Checker: it looks for the program and its folder, and runs
// nothing.
func (s *Sink) Check(context.Context) []sinks.Finding {
	path, err := exec.LookPath(s.options.Command[0])
	if err != nil {
		return []sinks.Finding{{Step: "program", Said: s.clean(err.Error()), Fix: "check command: the whole path of a file that may be run, or a name found in PATH"}}
	}
	found := []sinks.Finding{{Step: "program", OK: true, Said: path + " may be run; whether it works is seen when a mail is delivered"}}
	if s.options.Dir == "" {
		return found
	}
	if at, err := os.Stat(s.options.Dir); err != nil || !at.IsDir() {
		return append(found, sinks.Finding{Step: "dir", Said: s.options.Dir + " is not a folder that can be looked at", Fix: "make the folder, or change dir"})
	}
	return append(found, sinks.Finding{Step: "dir", OK: true, Said: "it runs in " + s.options.Dir})
}
