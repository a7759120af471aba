package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
)

// folder is one box as the server lists it.
type folder struct {
	name  string
	delim rune   // between the levels of names; 0 where there are none
	use   string // what it is for, `\Junk` (RFC 6154); "" where the server does not say
}

// uses are the special uses a box may be named by (RFC 6154 section 2).
var uses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Junk`, `\Sent`, `\Trash`}

// apart are those of which a pattern takes no mail: what did not arrive there,
// what the user has thrown away, and what is a second look at other boxes.
var apart = []string{`\All`, `\Drafts`, `\Flagged`, `\Junk`, `\Sent`, `\Trash`}

// special reports a name that says what a box is for.
func special(name string) bool { return strings.HasPrefix(name, `\`) }

// pattern reports a name that stands for any number of boxes.
func pattern(name string) bool {
	return strings.HasPrefix(name, "!") || strings.ContainsAny(name, "*%")
}

// Boxes implements fetcher.Finder. A name may be a pattern of LIST (RFC 3501
// section 6.3.8: * is anything, % anything within one level), a special use, or
// either after "!", which takes boxes out again. Boxes with a special use but
// \Archive come only where they are named themselves.
func (x *session) Boxes(ctx context.Context, names []string) ([]string, error) {
	if !slices.ContainsFunc(names, func(n string) bool { return special(n) || pattern(n) }) {
		return names, nil
	}
	all, err := x.list(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	var missing []error
	for _, name := range names {
		if strings.HasPrefix(name, "!") {
			continue
		}
		these := []string{name}
		switch {
		case special(name):
			one, err := used(all, name)
			if err != nil {
				missing = append(missing, err)
				continue
			}
			these[0] = one
		case pattern(name):
			these = matching(all, name)
		}
		for _, n := range these {
			out := func(except string) bool { return leavesOut(all, except, n) }
			same := func(other string) bool { return sameBox(n, other) }
			if !slices.ContainsFunc(found, same) && !slices.ContainsFunc(names, out) {
				found = append(found, n)
			}
		}
	}
	return found, errors.Join(missing...)
}

// leavesOut reports whether an entry is an exception that holds for a box.
func leavesOut(all []folder, entry, name string) bool {
	except, is := strings.CutPrefix(entry, "!")
	if !is {
		return false
	}
	return slices.ContainsFunc(all, func(f folder) bool {
		return sameBox(f.name, name) && (strings.EqualFold(f.use, except) && except != "" || matches(except, f.name, f.delim))
	})
}

// matching are the boxes of a pattern, in the server's order.
func matching(all []folder, pattern string) (names []string) {
	for _, f := range all {
		if matches(pattern, f.name, f.delim) && !slices.ContainsFunc(apart, func(u string) bool { return strings.EqualFold(u, f.use) }) {
			names = append(names, f.name)
		}
	}
	return names
}

// maxName bounds the names that patterns are compared with.
const maxName = 1000

// matches compares a name with a pattern. The case of INBOX alone does not count.
func matches(pattern, name string, delim rune) bool {
	if sameBox(pattern, name) {
		return true
	}
	if len(name) > maxName || len(pattern) > maxName {
		return false
	}
	runes := []rune(name)
	// ends[i]: what was read of the pattern can stand for the first i runes.
	ends := make([]bool, len(runes)+1)
	ends[0] = true
	for _, p := range pattern {
		next := make([]bool, len(ends))
		for i := range ends {
			switch {
			case p == '*' || p == '%':
				next[i] = ends[i] || i > 0 && next[i-1] && (p == '*' || runes[i-1] != delim)
			case i > 0:
				next[i] = ends[i-1] && runes[i-1] == p
			}
		}
		ends = next
	}
	return ends[len(runes)]
}

// real is the name of a box that may be named by its use.
func (x *session) real(ctx context.Context, name string) (string, error) {
	if !special(name) {
		return name, nil
	}
	all := x.known
	if all == nil {
		var err error
		if all, err = x.list(ctx); err != nil {
			return "", err
		}
	}
	return used(all, name)
}

// used is the box for a use. Its error is in the chain of ErrNoFolder.
func used(all []folder, use string) (string, error) {
	for _, f := range all {
		if strings.EqualFold(f.use, use) {
			return f.name, nil
		}
	}
	hint := "the server marks no folder so; name it itself"
	if names := namesOf(all); len(names) > 0 {
		hint += ": it has " + dial.Printable(strings.Join(names[:min(len(names), 8)], ", "))
	}
	return "", &fetcher.Error{Radius: fetcher.SessionRadius, Cause: fetcher.Temporary, Op: "finding " + dial.Printable(use), Err: ErrNoFolder, Hint: hint}
}

// list asks for all boxes that can be opened.
func (x *session) list(ctx context.Context) ([]folder, error) {
	var o *imap.ListOptions
	if x.caps.Has(imap.CapSpecialUse) && x.caps.Has(imap.CapListExtended) {
		o = &imap.ListOptions{ReturnSpecialUse: true}
	}
	all := []folder{}
	err := x.do(ctx, "listing the folders", func() error {
		list := x.client.List("", "*", o)
		for d := list.Next(); d != nil; d = list.Next() {
			if len(all) < maxFolders && len(d.Mailbox) <= maxFolderName && !unselectable(d) {
				all = append(all, folder{d.Mailbox, d.Delim, useOf(d)})
			}
		}
		return list.Close()
	})
	if err != nil {
		return nil, err
	}
	x.known = all
	return all, nil
}

// has reports whether a box is there.
func (x *session) has(ctx context.Context, name string) bool {
	all, err := x.list(ctx)
	return err == nil && slices.ContainsFunc(all, func(f folder) bool { return f.name == name })
}

func useOf(d *imap.ListData) string {
	for _, a := range d.Attrs {
		if i := slices.IndexFunc(uses, func(u string) bool { return strings.EqualFold(u, string(a)) }); i >= 0 {
			return uses[i]
		}
	}
	return ""
}

func namesOf(all []folder) []string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.name
	}
	return names
}

// checkName checks an entry of folders.
func checkName(name string) error {
	plain := strings.TrimPrefix(name, "!")
	switch {
	case plain == "":
		return errors.New("is empty")
	case strings.ContainsAny(plain, "\r\n\x00"):
		return errors.New("has a line break or a zero octet in it")
	case special(plain) && !slices.ContainsFunc(uses, func(u string) bool { return strings.EqualFold(u, plain) }):
		return fmt.Errorf("%q is no use of a folder: write one of %s", plain, strings.Join(uses, " "))
	}
	return nil
}
