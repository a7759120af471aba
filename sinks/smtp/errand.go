package smtp

import (
	"context"
	"fmt"
	"io"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/smtp/compose"
	"github.com/postferry/postferry/sinks/smtp/submit"
	"github.com/postferry/postferry/spool"
)

// Errand implements sinks.Errander: an answer or a passed-on mail that a webhook
// asked for, or a mail that is sent as it is.
func (s *Sink) Errand(ctx context.Context, d *sinks.Delivery, e *spool.Errand) (sinks.Receipt, error) {
	switch e.Verb {
	case sinks.VerbSend:
		to, err := sinks.EnvelopeOf(e)
		if err != nil {
			return sinks.Receipt{}, sinks.Permanent(err)
		}
		return s.send(ctx, d, to.To, asItIs(d, to))
	case sinks.VerbReply, sinks.VerbForward:
		said, err := sinks.DirectiveOf(e)
		if err != nil {
			return sinks.Receipt{}, sinks.Permanent(err)
		}
		w := &compose.Wish{Action: e.Verb, Subject: said.Subject, Text: said.Text, HTML: said.HTML, To: said.To, CC: said.CC, BCC: said.BCC}
		if said.All && e.Verb == sinks.VerbReply {
			w.Action = compose.ReplyAll
		}
		return s.deliver(ctx, d, w)
	}
	return sinks.Receipt{}, sinks.Permanent(fmt.Errorf("an smtp sink cannot %q", e.Verb))
}

// asItIs makes no other mail of the delivery's.
func asItIs(d *sinks.Delivery, to *sinks.Envelope) submit.Maker {
	return func(submit.Offers) (*submit.Mail, error) {
		m := &submit.Mail{Envelope: submit.Envelope{From: to.From}, Size: d.Octets.Size()}
		m.Open = func() (io.ReadCloser, error) { return io.NopCloser(d.Octets.Reader()), nil }
		var err error
		m.EightBit, m.UTF8, err = needs(d.Octets.Reader())
		m.UTF8 = m.UTF8 || to.UTF8
		return m, err
	}
}

// needs tells whether octets above 127 are in a mail, and in its header.
func needs(r io.Reader) (eightBit, utf8 bool, err error) {
	buf, header, line := make([]byte, 32<<10), true, 0
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			switch {
			case c >= 0x80:
				eightBit, utf8 = true, utf8 || header
				line++
			case c == '\n':
				header = header && line > 0
				line = 0
			case c != '\r':
				line++
			}
		}
		if err == io.EOF {
			return eightBit, utf8, nil
		}
		if err != nil {
			return false, false, err
		}
	}
}
