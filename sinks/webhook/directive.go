package webhook

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/spool"
)

// The directives an answer may carry.
const (
	moveDirective  = "move"
	flagDirective  = "flag"
	retryDirective = "retry_after"
)

// directives are what a sink lets an answer ask for.
type directives map[string]bool

func newDirectives(names []string) (directives, error) {
	d := directives{}
	for _, name := range names {
		if name != moveDirective && name != flagDirective && name != retryDirective {
			return nil, fmt.Errorf("directives: %q is not move, flag or retry_after", name)
		}
		d[name] = true
	}
	return d, nil
}

// asked is what one answer asks for.
type asked struct {
	actions []spool.Action
	again   time.Duration // with a yes: the mail is wanted again after that; 0 is not asked for
	folders bool
	refused []string // what was asked for and is not done, and why
}

const (
	longestFolder = 255
	mostFlags     = 16
)

// read takes the directives out of an answer's JSON: move, flag and retry_after,
// at the top or in an object called directives. An answer comes from outside:
// what is not allowed, or is no folder or flag, is refused and told of, and the
// rest is done.
// A mailbox that knows no folders (POP3) refuses move and flag, which it could
// never do.
func (d directives) read(body any, folders bool) asked {
	a := asked{folders: folders}
	top, _ := body.(map[string]any)
	if within, ok := top["directives"].(map[string]any); ok {
		top = within
	}
	// Flags come first: a mail that was moved is in another box.
	a.flag(d, top[flagDirective])
	a.move(d, top[moveDirective])
	if v := top[retryDirective]; v != nil && d[retryDirective] {
		wait, ok := secondsOf(v)
		if !ok {
			a.refuse("retry_after is no number of seconds")
		}
		a.again = wait
	}
	return a
}

func (a *asked) refuse(format string, args ...any) {
	a.refused = append(a.refused, dial.Printable(fmt.Sprintf(format, args...)))
}

func (a *asked) move(d directives, v any) {
	if v == nil {
		return
	}
	folder, _ := v.(string)
	switch {
	case !d[moveDirective]:
		a.refuse("move is not in the sink's directives")
	case !a.folders:
		a.refuse("move: the mailbox knows no folders")
	case !isFolder(folder):
		a.refuse("%.60q is no folder a mail can be moved to", fmt.Sprint(v))
	default:
		a.actions = append(a.actions, spool.Action{Verb: spool.Move, Arg: folder})
	}
}

func (a *asked) flag(d directives, v any) {
	if v == nil {
		return
	}
	if !d[flagDirective] {
		a.refuse("flag is not in the sink's directives")
		return
	}
	if !a.folders {
		a.refuse("flag: the mailbox knows no flags")
		return
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for i, f := range list {
		name, _ := f.(string)
		switch {
		case i >= mostFlags:
			a.refuse("more than %d flags", mostFlags)
			return
		case !isFlag(name):
			a.refuse("%.60q is no flag an answer may set", fmt.Sprint(f))
		default:
			a.actions = append(a.actions, spool.Action{Verb: spool.Flag, Arg: name})
		}
	}
}

// isFolder tells a name that one folder can have: no line ends or other control
// characters, and none of the wildcards of LIST (RFC 9051, section 6.3.9).
func isFolder(s string) bool {
	return s != "" && len(s) <= longestFolder && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return r < ' ' || r >= 0x7f && r < 0xa0 || r == '*' || r == '%' || r == '\u2028' || r == '\u2029'
		})
}

// isFlag tells the flags an answer may set: keywords, which are atoms (RFC 9051,
// section 9), and those system flags that take nothing away. \Deleted is none:
// who may flag may not delete.
func isFlag(s string) bool {
	switch s {
	case `\Answered`, `\Flagged`, `\Seen`, `\Draft`:
		return true
	}
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r) })
}
