package webhook

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

// Directives are what a sink lets an answer ask for.
type Directives struct {
	Move       bool   `config:"move" doc:"Move the mail to a folder."`
	Flag       bool   `config:"flag" doc:"Set flags of the mail."`
	RetryAfter bool   `config:"retry_after" doc:"Give the mail again later."`
	Reply      string `config:"reply" doc:"The sink of type smtp that sends the answer's reply."`
	Forward    string `config:"forward" doc:"The sink of type smtp that forwards the mail as the answer says."`
}

func (d Directives) any() bool { return d != Directives{} }

// asks tells whether an answer may have a mail in it.
func (d Directives) asks() bool { return d.Reply != "" || d.Forward != "" }

// Sinks are the sinks that answers may ask for something, by the directive's name.
func (d Directives) Sinks() map[string]string {
	named := map[string]string{}
	for verb, sink := range map[string]string{sinks.VerbReply: d.Reply, sinks.VerbForward: d.Forward} {
		if sink != "" {
			named[verb] = sink
		}
	}
	return named
}

// asked is what one answer asks for.
type asked struct {
	actions []spool.Action
	errands []spool.Errand
	again   time.Duration // with a yes: the mail is wanted again after that; 0 is not asked for
	folders bool
	refused []string // what was asked for and is not done, and why
}

const (
	longestFolder = 255
	mostFlags     = 16
)

// read takes the directives out of an answer's JSON, at the top or in an object
// called Directives. An answer comes from outside:
// what is not allowed, or is no folder or flag, is refused and told of, and the
// rest is done.
// A mailbox that knows no folders (POP3) refuses move and flag, which it could
// never do.
func (d Directives) read(body any, folders bool) asked {
	a := asked{folders: folders}
	top, _ := body.(map[string]any)
	if within, ok := top["directives"].(map[string]any); ok {
		top = within
	}
	// Flags come first: a mail that was moved is in another box.
	a.flag(d, top["flag"])
	a.move(d, top["move"])
	a.ask(sinks.VerbReply, d.Reply, top[sinks.VerbReply])
	a.ask(sinks.VerbForward, d.Forward, top[sinks.VerbForward])
	if v := top["retry_after"]; v != nil && d.RetryAfter {
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

// ask takes a mail that an answer wants sent.
func (a *asked) ask(verb, sink string, v any) {
	if v == nil {
		return
	}
	if sink == "" {
		a.refuse("%s is not in the sink's directives", verb)
		return
	}
	said, err := json.Marshal(v)
	var d *sinks.Directive
	if err == nil {
		d, err = sinks.ReadDirective(verb, said)
	}
	var e spool.Errand
	if err == nil {
		e, err = d.Errand(sink, verb)
	}
	if err != nil {
		a.refuse("%s: %.200v", verb, err)
		return
	}
	a.errands = append(a.errands, e)
}

func (a *asked) move(d Directives, v any) {
	if v == nil {
		return
	}
	folder, _ := v.(string)
	switch {
	case !d.Move:
		a.refuse("move is not in the sink's directives")
	case !a.folders:
		a.refuse("move: the mailbox knows no folders")
	case !isFolder(folder):
		a.refuse("%.60q is no folder a mail can be moved to", fmt.Sprint(v))
	default:
		a.actions = append(a.actions, spool.Action{Verb: spool.Move, Arg: folder})
	}
}

func (a *asked) flag(d Directives, v any) {
	if v == nil {
		return
	}
	if !d.Flag {
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
