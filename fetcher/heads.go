package fetcher

import (
	"context"

	"github.com/postferry/postferry/spool"
)

const (
	// headsAtOnce is how many heads are read between two commits.
	headsAtOnce = 1000
	// learnedEach is how many heads of mail that was there before the first poll a
	// visit reads: enough to know a large mailbox within hours, few enough to keep
	// nobody waiting.
	learnedEach = 500
)

// recognise leaves out the mails of a box that was renumbered whose heads are
// known: they keep their place under their new UIDs, and no body is fetched. What
// is left is new, or its content decides when it is taken.
func (p *poll) recognise(ctx context.Context, key spool.BoxKey, unknown []string) ([]string, error) {
	h, ok := p.s.(Header)
	if !ok || len(unknown) == 0 {
		return unknown, nil
	}
	renumbered, err := p.sp.Renumbered(ctx, key)
	if err != nil || !renumbered {
		return unknown, err
	}
	var left []string
	for n := 0; n < len(unknown); n += headsAtOnce {
		some := unknown[n:min(n+headsAtOnce, len(unknown))]
		heads, err := readHeads(ctx, h, key.Box, some)
		if err != nil {
			return nil, err
		}
		found, err := p.sp.Recognise(ctx, key, heads)
		if err != nil {
			return nil, err
		}
		known := make(map[string]bool, len(found))
		for _, uid := range found {
			known[uid] = true
		}
		for _, uid := range some {
			if !known[uid] {
				left = append(left, uid)
			}
		}
	}
	p.report.Recognised += len(unknown) - len(left)
	if !p.notes.renumbered(key) && len(left) == len(unknown) {
		return left, nil // news in a box of which that was said
	}
	p.log.Warn("the server has renumbered the mails of this box: those recognised by size and header are not taken again",
		"mailbox", p.m.Name, "box", key.Box, "recognised", len(unknown)-len(left), "not recognised", len(left))
	return left, nil
}

// learn reads the heads of some mails that were skipped, so that they are
// recognised should their box be renumbered; more says that there may be others.
func (p *poll) learn(ctx context.Context, key spool.BoxKey) (more bool, err error) {
	h, ok := p.s.(Header)
	switch {
	case !ok || p.notes.headless(p.m):
		return false, nil
	case len(p.taken) >= chunk:
		return true, nil
	}
	uids, err := p.sp.Headless(ctx, key, learnedEach)
	if err != nil || len(uids) == 0 {
		return false, err
	}
	heads, err := readHeads(ctx, h, key.Box, uids)
	if err != nil {
		return false, err
	}
	if len(heads) == 0 {
		p.notes.giveNoHeads(p.m)
		return false, nil
	}
	given := make(map[string]bool, len(heads))
	for _, head := range heads {
		given[head.UID] = true
	}
	for _, uid := range uids {
		if !given[uid] { // refused, or gone meanwhile: not to be asked for again
			heads = append(heads, spool.Head{UID: uid, Sum: spool.NoHead})
		}
	}
	return len(uids) == learnedEach, p.sp.Learn(ctx, key, heads)
}

func readHeads(ctx context.Context, h Header, box string, uids []string) ([]spool.Head, error) {
	refs := make([]Ref, len(uids))
	for i, uid := range uids {
		refs[i] = Ref{Box: box, UID: uid, Size: -1}
	}
	heads := make([]spool.Head, 0, len(refs))
	err := h.Heads(ctx, refs, func(r Ref, head []byte) {
		heads = append(heads, spool.Head{UID: r.UID, Sum: spool.HeadSum(r.Size, head)})
	})
	return heads, err
}
