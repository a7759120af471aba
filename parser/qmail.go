package parser

import (
	"regexp"
	"strings"
)

// qmailBounce reads the bounces of qmail and its descendants, which are text and
// nothing else: "The qmail-send Bounce Message Format", D. J. Bernstein, 1996. A
// paragraph that introduces itself, a paragraph for each recipient, one that begins
// with "-", and the mail that came back.
func (p *parse) qmailBounce(text string) {
	text = strings.TrimLeft(text, "\n")
	if !strings.HasPrefix(text, "Hi. This is the ") {
		return
	}
	b := &Bounce{Recipients: []BounceRecipient{}}
	_, rest, more := strings.Cut(text, "\n\n")
	for more {
		var paragraph string
		rest = strings.TrimLeft(rest, "\n")
		paragraph, rest, more = strings.Cut(rest, "\n\n")
		if strings.HasPrefix(paragraph, "-") {
			if len(b.Recipients) == 0 {
				return
			}
			if groups := fieldGroups([]byte(clip(strings.TrimLeft(rest, "\n"), p.lim.HeaderBytes)), 1); len(groups) > 0 {
				b.Original = p.original(groups[0], "body")
			}
			p.msg.Bounce = b
			return
		}
		if r, ok := p.qmailRecipient(paragraph); ok && len(b.Recipients) < maxBounced {
			b.Recipients = append(b.Recipients, r)
		}
	}
}

// qmailRecipient reads "<address>:" and, below it, why.
func (p *parse) qmailRecipient(paragraph string) (r BounceRecipient, ok bool) {
	head, why, _ := strings.Cut(paragraph, "\n")
	head, isHead := strings.CutSuffix(strings.TrimSpace(head), ">:")
	address, isAddress := strings.CutPrefix(head, "<")
	if !isHead || !isAddress {
		return r, false
	}
	failed := "failed"
	r = BounceRecipient{Email: p.cleanEmail(address, "body"), Action: &failed}
	if m := enhancedStatus.FindStringSubmatch(clip(why, 4096)); m != nil {
		r.Status = &m[1]
	}
	r.Diagnostic = optional(clip(strings.Join(strings.Fields(clip(why, 4096)), " "), 1000))
	return r, r.Email != ""
}

// enhancedStatus is a status code of RFC 3463, as qmail writes it, "(#5.1.1)", or
// as another server said it.
var enhancedStatus = regexp.MustCompile(`(?:#|\b[45][0-9]{2}[ -])([45]\.[0-9]{1,3}\.[0-9]{1,3})\b`)
