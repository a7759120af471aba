package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Action is what happens to a mail on its server.
type Action struct {
	Verb string // keep, seen, delete, move or flag
	Arg  string // the box of move, the flag of flag; else ""
}

// String is the form it is written in: "move:Processed".
func (a Action) String() string {
	if a.Arg == "" {
		return a.Verb
	}
	return a.Verb + ":" + a.Arg
}

// MarshalText gives the form UnmarshalText reads.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads keep, seen, delete, move:BOX or flag:FLAG.
func (a *Action) UnmarshalText(text []byte) error {
	verb, arg, found := strings.Cut(string(text), ":")
	switch verb {
	case "keep", "seen", "delete":
		if found {
			return fmt.Errorf("%s takes nothing after it", verb)
		}
	case "move", "flag":
		if err := checkArgument(verb, arg); err != nil {
			return err
		}
	default:
		return unknownWord(verb, []string{"keep", "seen", "delete", "move", "flag"})
	}
	*a = Action{verb, arg}
	return nil
}

func checkArgument(verb, arg string) error {
	switch {
	case arg == "" && verb == "move":
		return errors.New("move needs the box to move to, as in move:Processed")
	case arg == "":
		return errors.New("flag needs the flag to set, as in flag:$Ferried")
	case strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("the name after %s: has a control character in it", verb)
	case verb == "flag" && !isFlag(arg):
		return fmt.Errorf("%q is not a flag: letters, digits, $, - and _, as in $Ferried or \\Flagged", shorten(arg))
	}
	return nil
}

// isFlag reports a flag a client may set: an atom, or one of the system flags
// (RFC 9051, section 2.3.2 and flag-keyword in section 9).
func isFlag(s string) bool {
	switch s {
	case `\Answered`, `\Flagged`, `\Deleted`, `\Seen`, `\Draft`:
		return true
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// After is the Action a settled mail gets, and how much later it gets it.
type After struct {
	Verb  string        // keep, seen, delete, move or flag
	Arg   string        // the box of move, the flag of flag; else ""
	Delay time.Duration // delete waits this long once it is due
}

// String is the form it is written in: "delete:30d".
func (a After) String() string {
	if a.Delay > 0 {
		return a.Verb + ":" + FormatDuration(a.Delay)
	}
	return a.Action().String()
}

// Action is the action without its delay.
func (a After) Action() Action { return Action{a.Verb, a.Arg} }

// MarshalText gives the form UnmarshalText reads.
func (a After) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what Action does, and delete:30d.
func (a *After) UnmarshalText(text []byte) error {
	if delay, found := strings.CutPrefix(string(text), "delete:"); found {
		d, err := ParseDuration(delay)
		*a = After{Verb: "delete", Delay: d}
		return err
	}
	var action Action
	err := action.UnmarshalText(text)
	*a = After{Verb: action.Verb, Arg: action.Arg}
	return err
}

// Backfill says which mail the first run takes of that which is there already.
type Backfill struct {
	Mode string        // none, all, or since: what is younger than Age
	Age  time.Duration // of since; else 0
}

// String is the form it is written in: "none", "all" or "7d".
func (b Backfill) String() string {
	if b.Mode == "since" {
		return FormatDuration(b.Age)
	}
	return b.Mode
}

// MarshalText gives the form UnmarshalText reads.
func (b Backfill) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads none, all or a length of time.
func (b *Backfill) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "none", "all":
		*b = Backfill{Mode: s}
		return nil
	default:
		age, err := ParseDuration(s)
		if err != nil || age == 0 {
			return fmt.Errorf("%q is neither none nor all nor an age such as 7d", shorten(s))
		}
		*b = Backfill{Mode: "since", Age: age}
		return nil
	}
}
