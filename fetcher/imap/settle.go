package imap

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/spool"
)

const settling = "settling"

// Settle implements fetcher.Session. Mails of one box and action are settled
// together. What the server declines is reported for each mail, as an *Error of
// radius Message, after everything else was done; a mail that is not there any
// more is settled, and so is one whose box has got new UIDs, since what bears its
// UID now is another mail.
func (x *session) Settle(ctx context.Context, due []spool.Settlement) error {
	x.told = false
	var failed []error
	for _, g := range grouped(due) {
		err := x.settle(ctx, g)
		if err == nil {
			continue
		}
		if fetcher.RadiusOf(err) != fetcher.MessageRadius {
			return errors.Join(append(failed, err)...)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// group are the settlements of one box that ask for the same.
type group struct {
	box    string
	action spool.Action
	due    []spool.Settlement
}

// grouped divides settlements, in the order in which they come.
func grouped(due []spool.Settlement) []*group {
	type key struct {
		box    string
		action spool.Action
	}
	var out []*group
	at := map[key]*group{}
	for _, d := range due {
		if d.Action.Verb == spool.Keep {
			continue
		}
		k := key{d.Box, d.Action}
		if at[k] == nil {
			at[k] = &group{box: d.Box, action: d.Action}
			out = append(out, at[k])
		}
		at[k].due = append(at[k].due, d)
	}
	return out
}

// settle carries one group out.
func (x *session) settle(ctx context.Context, g *group) error {
	act, err := x.action(ctx, g)
	if err != nil {
		if x.over {
			return err
		}
		return g.fail(err)
	}
	if act == nil {
		return nil
	}
	b, err := x.open(ctx, g.box, true)
	if err != nil {
		return x.noBox(ctx, g, err)
	}
	var uids []imap.UID
	for _, d := range g.due {
		if validity, uid, ok := parseUID(d.UID); ok && validity == b.validity {
			uids = append(uids, uid)
		}
	}
	for _, set := range sets(uids, maxListed) {
		if err := act(ctx, set); err != nil {
			if err := x.declined(ctx, g, set, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// action is what the group asks for; nil if there is nothing to do.
func (x *session) action(ctx context.Context, g *group) (func(context.Context, imap.UIDSet) error, error) {
	switch a := g.action; a.Verb {
	case spool.Seen:
		return x.flagging(imap.FlagSeen), nil
	case spool.Flag:
		if !validFlag(a.Arg) {
			return nil, &fetcher.Error{Op: settling, Err: errors.New("no such flag can be set: " + dial.Printable(a.Arg)),
				Hint: `write a word such as $Ferried, or one of \Seen \Flagged \Answered \Draft`}
		}
		return x.flagging(imap.Flag(a.Arg)), nil
	case spool.Delete:
		return x.remove, nil
	case spool.Move:
		to, err := x.real(ctx, a.Arg)
		if err != nil || sameBox(to, g.box) {
			return nil, err // a move to where it is would make a new mail of it
		}
		return func(ctx context.Context, set imap.UIDSet) error { return x.move(ctx, set, to) }, nil
	default:
		return nil, &fetcher.Error{Cause: fetcher.Protocol, Op: settling, Err: errors.New("IMAP has no " + dial.Printable(string(a.Verb)))}
	}
}

// validFlag accepts what RFC 3501 section 9 calls flag-keyword and those system
// flags that a client may set without harm.
func validFlag(s string) bool {
	if word, system := strings.CutPrefix(s, `\`); system {
		switch strings.ToLower(word) {
		case "seen", "flagged", "answered", "draft":
			return true
		}
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// noBox decides what becomes of settlements in a box that cannot be opened: in
// one that is gone, the mails are gone too.
func (x *session) noBox(ctx context.Context, g *group, err error) error {
	if _, no := refused(err); !no {
		return err
	}
	all, listErr := x.list(ctx)
	if listErr != nil {
		return listErr
	}
	for _, f := range all {
		if sameBox(f.name, g.box) {
			return g.fail(err)
		}
	}
	if len(all) == 0 || len(all) == maxFolders {
		return g.fail(err)
	}
	return nil
}

// declined finds out whether mails that the server would not settle are there at
// all.
func (x *session) declined(ctx context.Context, g *group, set imap.UIDSet, err error) error {
	code, no := refused(err)
	if !no {
		return err
	}
	if _, hint := grade(code); hint != "" && code != imap.ResponseCodeNoPerm && code != imap.ResponseCodeOverQuota {
		return err
	}
	there, searchErr := x.search(ctx, settling, &imap.SearchCriteria{UID: []imap.UIDSet{set}})
	if searchErr != nil {
		return searchErr
	}
	left := &group{box: g.box, action: g.action}
	for _, d := range g.due {
		if _, uid, ok := parseUID(d.UID); ok && set.Contains(uid) && there.Contains(uid) {
			left.due = append(left.due, d)
		}
	}
	if len(left.due) == 0 {
		return nil
	}
	return left.fail(err)
}

// fail reports every mail of the group.
func (g *group) fail(err error) error {
	var failed []error
	for _, d := range g.due {
		e := &fetcher.Error{Radius: fetcher.MessageRadius, Op: settling + " (" + g.action.String() + ")", UID: dial.Printable(d.UID), Err: err}
		if inner, ok := errors.AsType[*fetcher.Error](err); ok {
			e.Cause, e.Err, e.Hint = inner.Cause, inner.Err, inner.Hint
		}
		failed = append(failed, e)
	}
	return errors.Join(failed...)
}
