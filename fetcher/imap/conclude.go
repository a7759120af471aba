package imap

import (
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
)

// relist is how long a box is believed to be unchanged because SELECT says so.
const relist = time.Hour

// standing is what SELECT says of what is in a box. UIDNEXT grows with every mail that
// is added (RFC 3501 section 2.3.1.1), so two boxes that stand equal have the same mails:
// with none added, none can have gone where as many are there. Flags may differ,
// which changes nothing that is known, so that no HIGHESTMODSEQ (RFC 7162) is
// needed.
type standing struct {
	validity uint32
	next     imap.UID
	exists   uint32
}

// concluded are boxes of which nothing is left to take. They are safe for
// concurrent use.
type concluded struct {
	mu    sync.Mutex
	boxes map[string]conclusion
}

type conclusion struct {
	stands standing
	at     time.Time
}

var _ fetcher.Concluder = (*session)(nil)

// Conclude implements fetcher.Concluder. It needs a complete listing of a box that
// was selected for it, with a UIDNEXT that its mails do not belie.
func (x *session) Conclude(name string) {
	if x.whole == nil || x.selected == nil || x.selected.name != name {
		return
	}
	c := &x.src.concluded
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.boxes == nil {
		c.boxes = map[string]conclusion{}
	}
	c.boxes[name] = conclusion{*x.whole, x.src.o.Clock.Now()}
}

// unchanged reports that a box selected just now is as it was when concluded.
func (x *session) unchanged(b box) bool {
	c := &x.src.concluded
	c.mu.Lock()
	defer c.mu.Unlock()
	was, ok := c.boxes[b.name]
	return ok && b.stands == was.stands && x.src.o.Clock.Now().Sub(was.at) < relist
}
