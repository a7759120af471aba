package parser

import (
	"bytes"
	"regexp"
	"strings"
)

// findings is what the reports in a mail say.
type findings struct {
	disposition bool // a disposition notification (RFC 8098)
}

// reports reads the parts that are made for programs: delivery status
// notifications and calendars.
func (p *parse) reports(root *part) {
	for pt := range root.all() {
		switch pt.mediaType {
		case "message/delivery-status", "message/global-delivery-status":
			p.deliveryStatus(pt, root)
		case "message/disposition-notification", "message/global-disposition-notification":
			p.found.disposition = true
		case "text/calendar", "application/ics":
			p.calendar(pt)
		}
	}
	if p.msg.Bounce == nil {
		p.failedRecipients(root)
	}
	if p.msg.Bounce == nil && p.msg.Text != nil {
		p.qmailBounce(*p.msg.Text)
	}
}

// all yields the part and the parts within it, in order.
func (pt *part) all() func(yield func(*part) bool) {
	return func(yield func(*part) bool) {
		stack := []*part{pt}
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !yield(top) {
				return
			}
			for i := len(top.children) - 1; i >= 0; i-- {
				stack = append(stack, top.children[i])
			}
		}
	}
}

// maxBounced bounds the recipients of a bounce.
const maxBounced = 1000

// deliveryStatus reads a delivery status notification (RFC 3464 section 2): a
// group of fields about the message, and one for each recipient.
func (p *parse) deliveryStatus(pt, root *part) {
	if p.msg.Bounce == nil {
		p.msg.Bounce = &Bounce{Recipients: []BounceRecipient{}, Original: p.returned(root)}
	}
	b := p.msg.Bounce
	octets, cut := p.content(pt, min(p.lim.Nested, 1<<20))
	if cut {
		p.problemOnce(ProblemLimitNested, partWhere(pt), "the delivery status is larger than the limit")
	}
	for _, group := range fieldGroups(octets, maxBounced+1) {
		final, _ := group.first("Final-Recipient")
		original, _ := group.first("Original-Recipient")
		email := typedValue(final)
		if email == "" {
			email = typedValue(original)
		}
		if n := len(email); n > 2 && email[0] == '<' && email[n-1] == '>' {
			email = email[1 : n-1] // which RFC 3464, section 2.3.2 does not have
		}
		if email == "" || len(b.Recipients) >= maxBounced {
			continue
		}
		r := BounceRecipient{Email: p.cleanEmail(email, partWhere(pt))}
		if v, ok := group.first("Action"); ok {
			r.Action = optional(strings.ToLower(oneLine(stripComments(v))))
		}
		if v, ok := group.first("Status"); ok {
			if words := strings.Fields(stripComments(v)); len(words) > 0 {
				r.Status = optional(validUTF8(words[0]))
			}
		}
		if v, ok := group.first("Diagnostic-Code"); ok {
			r.Diagnostic = optional(oneLine(p.rawText(typedValue(v), partWhere(pt))))
		}
		b.Recipients = append(b.Recipients, r)
	}
}

// typedValue is what follows the type of "rfc822; ada@example.com" and
// "smtp; 550 no such user" (RFC 3464 section 2.1.2).
func typedValue(v string) string {
	kind, value, ok := strings.Cut(v, ";")
	if !ok {
		return strings.TrimSpace(v)
	}
	if strings.ContainsAny(strings.TrimSpace(kind), " \t@") {
		return strings.TrimSpace(v)
	}
	return strings.TrimSpace(value)
}

// returned is what is known of the mail that came back.
func (p *parse) returned(root *part) BounceOriginal {
	for pt := range root.all() {
		switch pt.mediaType {
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers":
		default:
			continue
		}
		octets, _ := p.content(pt, p.lim.HeaderBytes)
		groups := fieldGroups(octets, 1)
		if len(groups) == 0 {
			continue
		}
		return p.original(groups[0], partWhere(pt))
	}
	return BounceOriginal{}
}

func (p *parse) original(h header, where string) (o BounceOriginal) {
	if ids := p.ids(h, "Message-ID"); len(ids) > 0 {
		o.MessageID = &ids[0]
	}
	if v, ok := h.get("Subject"); ok {
		s := p.decodeText(v, where)
		o.Subject = &s
	}
	return o
}

// failedRecipients reads the field Exim writes into its own bounces, which have
// no delivery status.
func (p *parse) failedRecipients(root *part) {
	raw, ok := root.header.get("X-Failed-Recipients")
	if !ok {
		return
	}
	b := &Bounce{Recipients: []BounceRecipient{}, Original: p.returned(root)}
	failed := "failed"
	for _, e := range splitAddresses(raw) {
		if _, email, _ := cutAddress(e); strings.Contains(email, "@") && len(b.Recipients) < maxBounced {
			b.Recipients = append(b.Recipients, BounceRecipient{Email: p.cleanEmail(email, "header X-Failed-Recipients"), Action: &failed})
		}
	}
	if len(b.Recipients) == 0 {
		return
	}
	if p.msg.Text != nil {
		p.bounceText(b, *p.msg.Text)
	}
	p.msg.Bounce = b
}

// bounceText looks in the text of a bounce for what the other server said, and
// for the mail that came back below a line that says so.
func (p *parse) bounceText(b *Bounce, text string) {
	words, mail := text, ""
	for _, mark := range [...]string{"----- Original message -----", "------ This is a copy of"} {
		if i := strings.Index(text, mark); i >= 0 {
			words = text[:i]
			if _, rest, ok := strings.Cut(text[i:], "\n"); ok {
				mail = strings.TrimLeft(rest, "\n")
			}
			break
		}
	}
	if m := serverSaid.FindStringSubmatch(words); m != nil && len(b.Recipients) == 1 {
		b.Recipients[0].Status = &m[2]
		b.Recipients[0].Diagnostic = optional(strings.TrimSpace(clip(m[1], 1000)))
	}
	if groups := fieldGroups([]byte(clip(mail, p.lim.HeaderBytes)), 1); len(groups) > 0 && b.Original == (BounceOriginal{}) {
		b.Original = p.original(groups[0], "body")
	}
}

// serverSaid is a reply of SMTP with an enhanced status code (RFC 3463).
var serverSaid = regexp.MustCompile(`(?m)\b([45][0-9]{2}[ -]([45]\.[0-9]{1,3}\.[0-9]{1,3})\b.*)$`)

// maxFieldValue bounds a field of such a part.
const maxFieldValue = 64 << 10

// fieldGroups reads groups of fields parted by blank lines, most at the most.
func fieldGroups(octets []byte, most int) []header {
	var groups []header
	var h header
	var folded strings.Builder // the value of the last field of h, where it is folded
	endField := func() {
		if folded.Len() > 0 {
			h[len(h)-1].value = folded.String()
			folded.Reset()
		}
	}
	if most == 1 { // only what stands before the first blank line is looked at
		octets = bytes.TrimLeft(octets, "\r\n")
		if i := bytes.Index(octets, []byte("\n\r\n")); i >= 0 {
			octets = octets[:i+1]
		}
		if i := bytes.Index(octets, []byte("\n\n")); i >= 0 {
			octets = octets[:i+1]
		}
	}
	endGroup := func() {
		if endField(); len(h) > 0 {
			groups = append(groups, h)
		}
		h = nil
	}
	for line := range strings.Lines(string(octets)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "":
			if endGroup(); len(groups) == most {
				return groups
			}
		case line[0] == ' ' || line[0] == '\t':
			if len(h) > 0 && max(folded.Len(), len(h[len(h)-1].value))+len(line) < maxFieldValue {
				if folded.Len() == 0 {
					folded.WriteString(h[len(h)-1].value)
				}
				folded.WriteByte(' ')
				folded.WriteString(strings.TrimSpace(line))
			}
		default:
			name, v, ok := strings.Cut(line, ":")
			if ok && len(h) < 1000 {
				endField()
				name = strings.TrimSpace(name)
				h = append(h, field{name: name, value: strings.TrimSpace(clip(v, maxFieldValue)), key: nameKey(name)})
			}
		}
	}
	endGroup()
	return groups
}
