package payload

import (
	"fmt"
	"regexp"
	"sync"
)

// patterns are the regular expressions of the configuration, compiled. They are
// literals there, so there are no more than it names.
type patterns struct{ known sync.Map }

func (p *patterns) compile(source string) (*regexp.Regexp, error) {
	if found, ok := p.known.Load(source); ok {
		return found.(*regexp.Regexp), nil
	}
	made, err := regexp.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("capture: %q is not a regular expression: %w", source, err)
	}
	p.known.Store(source, made)
	return made, nil
}
