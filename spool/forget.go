package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// headerLimit is how much of a mail ForgetAddress looks at.
const headerLimit = 1 << 20

// Forget erases the mails: their octets, and every row that holds something of
// their content (routing, deliveries, attempts). Deliveries that were open do not
// happen, except those under way. Their UIDs stay known, so they are not taken
// again, and what is owed to their server stays owed. It returns how many were
// there; others are passed over.
func (s *Spool) Forget(ctx context.Context, items ...ID) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.catchUp(ctx); err != nil {
		return 0, fmt.Errorf("forget mails: %w", err)
	}
	n := 0
	for page := range slices.Chunk(items, targetsPage) {
		op := &ForgetOp{Items: page, At: s.now()}
		if err := s.commit(ctx, op, 0, func() { s.forgotten(op) }); err != nil {
			return n, fmt.Errorf("forget mails: %w", err)
		}
		n += len(op.Forgotten)
	}
	return n, nil
}

// forgotten brings memory up to date. Needs mu.
func (s *Spool) forgotten(op *ForgetOp) {
	s.ready(op.Freed)
	for _, r := range op.Ended {
		if d := s.claims[r.Delivery]; d != nil {
			d.gone = true
			continue
		}
		s.queue(r.Sink).remove(r.Delivery)
	}
	for _, id := range op.Forgotten {
		if e := s.window.entries[id]; e != nil {
			s.abandon(e)
			if e.waiting {
				e.waiting = false
				e.refs--
				s.window.tidy(e)
			}
		}
		s.changed(id)
	}
	s.drained.wakeAll()
}

// remove takes a delivery that is no more out of the queue.
func (q *queue) remove(id string) {
	is := func(d *delivery) bool { return d.Delivery == id }
	if q.refill != nil {
		q.refill.ended[id] = true
		if i := slices.IndexFunc(q.refill.added, is); i >= 0 {
			q.s.window.unref(q.refill.added[i].entry)
			q.refill.added = slices.Delete(q.refill.added, i, i+1)
		}
	}
	if i := slices.IndexFunc(q.ready, is); i >= 0 {
		e := q.ready[i].entry
		q.ready = slices.Delete(q.ready, i, i+1)
		q.s.window.unref(e)
	}
}

// ForgetAddress forgets every mail whose header section names the address, in
// any field, and returns which; mails that could not be read are in the error.
// Case is not told apart, also in the local part.
// Mail whose octets were erased before holds no address any more.
func (s *Spool) ForgetAddress(ctx context.Context, address string) ([]ID, error) {
	address = strings.ToLower(strings.TrimSpace(address))
	if local, domain, ok := strings.Cut(address, "@"); !ok || local == "" || domain == "" {
		return nil, fmt.Errorf("forget mails: %q is no address", address)
	}
	var all []ID
	var unread []error
	f := Filter{Limit: listLargest}
	for {
		p, err := s.List(ctx, f)
		if err != nil {
			return all, err
		}
		var found []ID
		for _, m := range p.Mails {
			named, err := s.names(ctx, m, []byte(address))
			if ctx.Err() != nil {
				return all, ctx.Err()
			}
			if err != nil {
				unread = append(unread, err)
			}
			if named {
				found = append(found, m.ID)
			}
		}
		if _, err := s.Forget(ctx, found...); err != nil {
			return all, err
		}
		all = append(all, found...)
		if f.Cursor = p.Next; f.Cursor == "" {
			return all, errors.Join(unread...)
		}
	}
}

// names tells whether the mail's header section has the address.
func (s *Spool) names(ctx context.Context, m Mail, address []byte) (bool, error) {
	if m.Erased {
		return false, nil
	}
	o, err := s.Octets(ctx, m.ID)
	if errors.Is(err, ErrErased) || errors.Is(err, ErrUnknown) {
		return false, nil // meanwhile
	}
	if err != nil {
		return false, err
	}
	defer o.Close()
	header := make([]byte, min(o.Size(), headerLimit))
	n, err := o.ReadAt(header, 0)
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read mail %d: %w", m.ID, err)
	}
	return headerNames(header[:n], address), nil
}

// headerNames looks for the address, in lower case, in the header section at the
// beginning of octets, which ends with the first empty line (RFC 5322, section
// 2.1). What stands before and after the address must not be part of one.
func headerNames(octets, address []byte) bool {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if i := bytes.Index(octets, []byte(end)); i >= 0 {
			octets = octets[:i]
		}
	}
	octets = bytes.ToLower(octets)
	for {
		i := bytes.Index(octets, address)
		if i < 0 {
			return false
		}
		after := octets[i+len(address):]
		if !(i > 0 && inAddress(octets[i-1])) && !(len(after) > 0 && inAddress(after[0]) && !fullStop(after)) {
			return true
		}
		octets = octets[i+1:]
	}
}

// inAddress tells what may stand in a dot-atom (RFC 5322, section 3.2.3).
func inAddress(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80 || strings.IndexByte("!#$%&*+-/=?^_`{|}~.", c) >= 0
}

// fullStop tells a dot that ends a sentence from one inside a domain.
func fullStop(b []byte) bool {
	return b[0] == '.' && (len(b) == 1 || !inAddress(b[1]))
}
