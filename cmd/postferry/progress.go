package main

import (
	"fmt"
	"io"
	"time"
)

// progress shows how far a long command is, on a terminal that shows nothing
// else. Anywhere else it does nothing.
type progress struct {
	w           io.Writer // nil: shows nothing
	done, total int       // total 0: not known
	shown       time.Time
}

func newProgress(c *cli, total int) *progress {
	p := &progress{total: total, shown: time.Now()}
	if isTerminal(c.err) && !isTerminal(c.out) {
		p.w = c.err
	}
	return p
}

// step counts one more, and shows it now and again.
func (p *progress) step() {
	p.done++
	if p.w == nil || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	if p.total > 0 {
		fmt.Fprintf(p.w, "\r%d of %d mails (%d %%)\x1b[K", p.done, p.total, 100*p.done/p.total)
	} else {
		fmt.Fprintf(p.w, "\r%d mails\x1b[K", p.done)
	}
}

// clear makes room for a line of text.
func (p *progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) end() { p.clear() }
