package compose

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

// perSubject bounds the answers to mails of one subject in an hour: a robot that
// answers from ever new addresses seldom changes what it writes about.
const perSubject = 10

// notes are what the store is to remember of a mail before it goes, and why the
// mail does not go where one of them is refused.
type notes struct {
	notes []spool.Note
	why   []string
	stop  int // the index of the note whose refusal holds the sink; -1 is none
}

func (n *notes) add(kind, what string, most int, period time.Duration, why string) {
	sum := sha256.Sum256([]byte(what))
	n.notes = append(n.notes, spool.Note{Key: kind + ":" + hex.EncodeToString(sum[:16]), Most: most, For: period})
	n.why = append(n.why, why)
}

// notesOf are those of a mail to sender.
func (c *Composer) notesOf(action, sender, subject string) *notes {
	n := &notes{stop: -1}
	all := c.options.Limits.InAll
	if isAnswer(action) {
		who := sameBox(sender)
		if action == Acknowledge {
			n.add("once", who, 1, c.options.RepeatAfter, "the sender had an acknowledgement within "+config.FormatDuration(c.options.RepeatAfter))
		}
		per := c.options.Limits.PerSender
		if per.Count == 0 && action != Acknowledge {
			per = defaultPerSender
		}
		if per.Count > 0 {
			n.add("sender", who, per.Count, per.Per, "the sender had "+per.String()+" answers (limits: per_sender)")
		}
		n.add("subject", baseSubject(subject), perSubject, time.Hour, fmt.Sprintf("%d mails of this subject were answered within an hour", perSubject))
		if all.Count == 0 {
			all = defaultInAll
		}
	}
	if all.Count > 0 {
		n.stop = len(n.notes)
		n.add("all", "", all.Count, all.Per, "")
	}
	return n
}

// allow tells whether the mail may go: nil; Withheld; or, where the sink has sent
// as much as it may in all, a fault of the sink.
func (c *Composer) allow(ctx context.Context, d *sinks.Delivery, n *notes) error {
	if d.Remember == nil || len(n.notes) == 0 {
		return nil
	}
	refused, err := d.Remember(ctx, n.notes...)
	switch {
	case err != nil:
		return fmt.Errorf("asking the store what was sent lately: %w", err)
	case refused == nil:
		return nil
	case refused.Note != n.stop:
		return withheld("%s", n.why[refused.Note])
	}
	all := c.options.Limits.InAll
	all.Count, all.Per = cmp.Or(all.Count, defaultInAll.Count), cmp.Or(all.Per, defaultInAll.Per)
	return sinks.SinkFault(sinks.RetryAfter(refused.Wait, errors.New(strings.Join([]string{
		"circuit breaker: the sink has sent " + all.String() + ", all that limits: in_all allows",
		"look for a loop in what it sent last (postferry list), or raise the limit; nothing is lost, and it goes on in " + config.FormatDuration(refused.Wait.Round(time.Second)),
	}, "; "))))
}
