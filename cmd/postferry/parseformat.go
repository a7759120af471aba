package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/postferry/postferry/sinks/payload"
)

// renderer is how parse writes a mail: as a sink of the configuration, or in a
// format with nothing set for it but the body of a template.
func (f parseFlags) renderer(c *cli) (payload.Renderer, error) {
	if f.sink != "" {
		return f.ofSink(c)
	}
	o := payload.Options{Attachments: payload.Attachments(f.attachments)}
	if f.format != "template" {
		if f.body != "" {
			return payload.Renderer{}, usageError(errors.New("--body goes with --format template"))
		}
		r, err := payload.NewRenderer(f.format, o)
		if err != nil {
			return payload.Renderer{}, usageError(err)
		}
		return r, nil
	}
	if f.body == "" {
		return payload.Renderer{}, usageError(errors.New("a template needs its body: --body FILE, or --sink NAME for one of the configuration"))
	}
	text, err := os.ReadFile(f.body)
	if err != nil {
		return payload.Renderer{}, usageError(fmt.Errorf("reading the template: %w", err))
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return payload.Renderer{}, usageError(fmt.Errorf("reading the template %s: %w", f.body, err))
	}
	format, err := payload.Template(tree)
	if err != nil {
		return payload.Renderer{}, usageError(fmt.Errorf("the template %s: %w", f.body, err))
	}
	r := payload.Renderer{Format: format, Options: o}
	if err := r.Validate(); err != nil {
		return payload.Renderer{}, usageError(err)
	}
	return r, nil
}

func (f parseFlags) ofSink(c *cli) (payload.Renderer, error) {
	s, err := c.load(nil, true)
	if err != nil {
		return payload.Renderer{}, err
	}
	var names []string
	for _, k := range s.sinks {
		names = append(names, k.Name)
	}
	i := slices.Index(names, f.sink)
	if i < 0 {
		return payload.Renderer{}, usageError(fmt.Errorf("no sink is called %q; there are %v", f.sink, names))
	}
	r := s.sinks[i].renderer
	if f.attachmentsSet {
		r.Options.Attachments = payload.Attachments(f.attachments)
		if err := r.Validate(); err != nil {
			return payload.Renderer{}, usageError(err)
		}
	}
	return r, nil
}
