package fetcher

import (
	"context"
	"errors"
)

// Finder is a session whose boxes may be named by pattern or by what they are for.
type Finder interface {
	// Boxes gives the boxes that names stand for now, in the order of the names, each
	// once. A name that stands for one box which is not there is an error, with the
	// boxes of the other names beside it; a pattern may stand for none.
	Boxes(ctx context.Context, names []string) ([]string, error)
}

// findBoxes are the boxes that the mailbox's names stand for in the open session.
// Where some could not be found the error says so, and the others are given.
func (p *poll) findBoxes(ctx context.Context) error {
	p.boxes = p.m.Boxes
	f, ok := p.s.(Finder)
	if !ok {
		return nil
	}
	found, err := f.Boxes(ctx, p.m.Boxes)
	if err != nil && len(found) == 0 {
		return err
	}
	if len(found) == 0 {
		return &Error{Radius: SessionRadius, Op: "finding the folders", Err: errors.New("the account has none that folders names"),
			Hint: "`check` lists the folders there are"}
	}
	p.boxes = found
	return err
}
