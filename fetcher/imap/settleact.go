package imap

import (
	"cmp"
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/failpoint"
)

// flagging adds a flag.
func (x *session) flagging(flag imap.Flag) func(context.Context, imap.UIDSet) error {
	return func(ctx context.Context, set imap.UIDSet) error {
		failpoint.Hit("imap.store.before")
		defer failpoint.Hit("imap.store.after")
		return x.do(ctx, settling, func() error {
			add := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{flag}}
			return x.client.Store(set, add, nil).Close()
		})
	}
}

// remove marks mails \Deleted and expunges those and no others (RFC 4315 section
// 2.1). Without UIDPLUS they stay marked: a plain EXPUNGE would remove what
// others have marked, too.
func (x *session) remove(ctx context.Context, set imap.UIDSet) error {
	if err := x.flagging(imap.FlagDeleted)(ctx, set); err != nil {
		return err
	}
	if !x.caps.Has(imap.CapUIDPlus) {
		x.src.warn(`the server lacks UIDPLUS: settled mails stay in their box, marked \Deleted`, "server", x.src.o.Server.Address())
		return nil
	}
	failpoint.Hit("imap.expunge.before")
	defer failpoint.Hit("imap.expunge.after")
	return x.do(ctx, settling, func() error { return x.client.UIDExpunge(set).Close() })
}

// move moves mails, and makes the box they go to when the server says that it is
// missing (RFC 3501 section 7.1, TRYCREATE).
func (x *session) move(ctx context.Context, set imap.UIDSet, to string) error {
	to = cmp.Or(x.aliases[to], to)
	err := x.moveOnce(ctx, set, to)
	if code, no := refused(err); !no || code != imap.ResponseCodeTryCreate {
		return err
	}
	made, err := x.create(ctx, to)
	if err != nil {
		return err
	}
	if made != to {
		if x.aliases == nil {
			x.aliases = map[string]string{}
		}
		x.aliases[to] = made
	}
	return x.moveOnce(ctx, set, made)
}

// create makes a box. Where the server refuses the name and keeps the user's own
// boxes below a prefix (RFC 2342: "INBOX."), it is there under that.
func (x *session) create(ctx context.Context, name string) (made string, err error) {
	make := func(name string) error {
		return x.do(ctx, "creating "+dial.Printable(name), func() error { return x.client.Create(name, nil).Wait() })
	}
	err = make(name)
	if err == nil {
		x.src.o.Logger.Info("folder created", "server", x.src.o.Server.Address(), "folder", dial.Printable(name))
		return name, nil
	}
	if _, no := refused(err); !no || !x.caps.Has(imap.CapNamespace) {
		return "", err
	}
	prefix, asked := x.prefix(ctx)
	if asked != nil {
		return "", asked
	}
	if prefix == "" || strings.HasPrefix(name, prefix) {
		return "", err
	}
	below := prefix + name
	if again := make(below); again != nil {
		if code, no := refused(again); !no {
			return "", again
		} else if code != imap.ResponseCodeAlreadyExists && !x.has(ctx, below) {
			return "", err
		}
	} else {
		x.src.o.Logger.Info("folder created", "server", x.src.o.Server.Address(), "folder", dial.Printable(below))
	}
	return below, nil
}

// prefix is what the names of the user's own boxes begin with (RFC 2342).
func (x *session) prefix(ctx context.Context) (prefix string, err error) {
	err = x.do(ctx, "asking for the namespaces", func() error {
		data, err := x.client.Namespace().Wait()
		if err == nil && len(data.Personal) > 0 {
			prefix = data.Personal[0].Prefix
		}
		return err
	})
	if _, no := refused(err); no {
		return "", nil
	}
	return prefix, err
}

// moveOnce uses MOVE (RFC 6851) where the server has it. Otherwise mails are
// copied, and removed when the server has confirmed that.
func (x *session) moveOnce(ctx context.Context, set imap.UIDSet, to string) error {
	// imapclient's Move falls back to a pipelined COPY, STORE and EXPUNGE unless it
	// has seen the capability itself; the guard keeps what it has seen from changing.
	if x.caps.Has(imap.CapMove) && x.client.Caps().Has(imap.CapMove) {
		failpoint.Hit("imap.move.before")
		defer failpoint.Hit("imap.move.after")
		return x.do(ctx, settling, func() error {
			_, err := x.client.Move(set, to).Wait()
			return err
		})
	}
	failpoint.Hit("imap.copy.before")
	err := x.do(ctx, settling, func() error {
		_, err := x.client.Copy(set, to).Wait()
		return err
	})
	failpoint.Hit("imap.copy.after")
	if err != nil {
		return err
	}
	return x.remove(ctx, set)
}
