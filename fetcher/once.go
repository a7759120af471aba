package fetcher

import (
	"context"
	"errors"
	"slices"

	"github.com/postferry/postferry/spool"
)

// Identifier is a session on a server that shows one mail in several boxes, as
// Gmail does under each of its labels, and has one name for it in all of them.
type Identifier interface {
	// Identify fills in Same of refs, which are of one box. It leaves a mail as it is
	// that is not there any more or that has no such name.
	Identify(ctx context.Context, refs []Ref) error
}

// takeOnce takes those of refs that were not taken from another box of the mailbox.
// The others become known in this box too. The names of what was taken are kept
// beside the ledgers of the boxes, as those of a box of its own.
//
// A crash between the two leaves a mail taken and its name unknown: it is then
// taken again under its next label, never lost.
func (p *poll) takeOnce(ctx context.Context, key spool.BoxKey, refs []Ref) error {
	who, ok := p.s.(Identifier)
	if !ok || len(p.boxes) < 2 {
		return p.take(ctx, key, refs)
	}
	if err := who.Identify(ctx, refs); err != nil {
		return err
	}
	names := spool.BoxKey{Account: key.Account, Box: "one name in all boxes of " + p.m.Name}
	fresh, err := p.notTaken(ctx, names, refs)
	if err != nil {
		return err
	}
	var known []string
	for _, r := range refs {
		if r.Same != "" && !fresh[r.Same] {
			known = append(known, r.UID)
		}
	}
	if len(known) > 0 {
		if err := p.sp.Skip(ctx, key, known); err != nil {
			return err
		}
		p.report.Elsewhere += len(known)
		refs = slices.DeleteFunc(slices.Clone(refs), func(r Ref) bool { return r.Same != "" && !fresh[r.Same] })
	}
	err = p.take(ctx, key, refs)
	if len(p.same) > 0 {
		err = errors.Join(err, p.sp.Skip(context.WithoutCancel(ctx), names, p.same))
		p.same = nil
	}
	return err
}

// notTaken tells which names are not known of mail taken before.
func (p *poll) notTaken(ctx context.Context, names spool.BoxKey, refs []Ref) (map[string]bool, error) {
	var all []string
	for _, r := range refs {
		if r.Same != "" {
			all = append(all, r.Same)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	unknown, _, err := p.sp.Reconcile(ctx, names, all, false, "")
	if err != nil {
		return nil, err
	}
	fresh := make(map[string]bool, len(unknown))
	for _, same := range unknown {
		fresh[same] = true
	}
	return fresh, nil
}
