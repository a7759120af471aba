package fetcher

import (
	"errors"
	"sync"

	"github.com/postferry/postferry/spool"
)

// notes are what a Fetcher remembers between visits, and may forget: what was said
// before, and what need not be tried again. They are safe for concurrent use.
type notes struct {
	mu    sync.Mutex
	boxes map[binding]bool
	mails map[mailKey]note
	reset map[spool.BoxKey]bool
	bare  map[string]bool // accounts whose server gives no heads
}

type binding struct {
	mailbox string
	box     spool.BoxKey
}

type mailKey struct{ account, box, uid string }

type note struct {
	said  string // the last failure that was logged
	large bool   // larger than the spool takes
}

// maxNotes bounds the mails noted; with more, all are forgotten.
const maxNotes = 10_000

func (n *notes) bound(mailbox string, box spool.BoxKey) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.boxes[binding{mailbox, box}]
}

func (n *notes) bind(mailbox string, box spool.BoxKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.boxes == nil {
		n.boxes = map[binding]bool{}
	}
	n.boxes[binding{mailbox, box}] = true
}

func (n *notes) large(m *Mailbox, r Ref) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mails[mailKey{m.Account, r.Box, r.UID}].large
}

func (n *notes) setAside(m *Mailbox, r Ref) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.put(mailKey{m.Account, r.Box, r.UID}, note{large: true})
}

func (n *notes) headless(m *Mailbox) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bare[m.Account]
}

func (n *notes) giveNoHeads(m *Mailbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bare == nil {
		n.bare = map[string]bool{}
	}
	n.bare[m.Account] = true
}

// renumbered notes that a box was found renumbered, and reports whether that is
// new.
func (n *notes) renumbered(box spool.BoxKey) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reset[box] {
		return false
	}
	if n.reset == nil {
		n.reset = map[spool.BoxKey]bool{}
	}
	n.reset[box] = true
	return true
}

// news reports whether a failure of one mail was not said before.
func (n *notes) news(m *Mailbox, box string, err error) bool {
	key := mailKey{account: m.Account, box: box}
	if e, ok := errors.AsType[*Error](err); ok {
		key.uid = e.UID
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.mails[key]
	if old.said == err.Error() {
		return false
	}
	old.said = err.Error()
	n.put(key, old)
	return true
}

// put needs mu.
func (n *notes) put(key mailKey, v note) {
	if n.mails == nil || len(n.mails) >= maxNotes {
		n.mails = map[mailKey]note{}
	}
	n.mails[key] = v
}
