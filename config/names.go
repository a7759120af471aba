package config

import (
	"errors"
	"fmt"
	"strings"
)

var errName = errors.New("a name is made of a-z, 0-9, - and _")

// checkName holds names to what variables, logs and metrics can carry.
func checkName(name string) error {
	if name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" {
		return nil
	}
	if len(name) > 64 {
		return errors.New("a name has at most 64 characters")
	}
	if plain := simplify(name); plain != "" {
		return fmt.Errorf("%w; write %s", errName, plain)
	}
	return errName
}

// simplify makes a name of the letters and digits there are.
func simplify(name string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(plain, "-")
}
