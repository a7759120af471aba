// Package secret holds values that must never reach a log, an error, a
// configuration dump or a crash report. A Secret formats as Masked under every
// verb and encoder; only Reveal gives the value, so each use can be found by
// searching for that one word. Command has a program print one.
package secret

import (
	"fmt"
	"log/slog"
)

// Masked is what every rendering of a non-empty Secret shows.
const Masked = "********"

// Secret is a value that cannot be printed. The zero Secret is empty and
// renders as "". Secrets are compared after Reveal.
type Secret struct {
	// A pointer, since fmt passes every method by when a verb does not fit the
	// struct around the secret, and then prints fields as they are.
	value *string
}

// New wraps value.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value itself. Hand it to the peer that needs it, never to
// a formatter.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == nil }

// String implements fmt.Stringer with the masked form.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return Masked
}

// Format implements fmt.Formatter, so that %#v, %x and %q are masked too.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// GoString implements fmt.GoStringer with the masked form.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler (JSON, YAML, XML) with the
// masked form.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: a secret is read from
// configuration as plain text.
func (s *Secret) UnmarshalText(b []byte) error { *s = New(string(b)); return nil }

// LogValue implements slog.LogValuer with the masked form.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
