package payload

import (
	"strings"

	"github.com/postferry/postferry/sinks"
)

// rails is what the relay ingress of Rails' Action Mailbox takes: the mail itself,
// described in docs/formats/rails.md.
type rails struct{}

func (*rails) Name() string        { return "rails" }
func (*rails) ContentType() string { return "message/rfc822" }

// CheckOptions implements Checker.
func (*rails) CheckOptions(o Options) error { return sendsAll("format rails", o) }

// Render puts an X-Original-To before the mail if the mail does not say whom it
// was sent to: Action Mailbox routes by it, and its other ingresses do the same.
func (*rails) Render(d *sinks.Delivery, _ Options) (*Body, error) {
	b := newBody("message/rfc822")
	_, said := headerOf(d.Message, "X-Original-To")
	to := recipient(d)
	if !said && len(d.Message.Headers) > 0 && to != "" && !strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		*b.text = append(*b.text, "X-Original-To: "+to+"\r\n"...)
	}
	if err := b.putMail(d); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}
