package compose

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

// redirect sends a mail on as it is, below fields that say who did so (RFC 5322,
// section 3.6.6).
type redirect struct {
	id     string
	date   time.Time
	from   parser.Address
	to, cc []parser.Address
	bcc    []parser.Address
	path   string // the reverse-path
	trace  header
	octets *spool.Octets
}

func (r *redirect) mail() (*Mail, error) {
	l := Letter{ID: r.id, From: r.from}
	m := &Mail{From: r.path, MessageID: l.messageID(r.from.Email), open: r.octets.Reader}
	m.UTF8 = !isASCII(r.from.Email)
	seen := map[string]bool{}
	for _, list := range [][]parser.Address{r.to, r.cc, r.bcc} {
		for _, a := range without(list, seen) {
			m.To = append(m.To, a.Email)
			m.UTF8 = m.UTF8 || !isASCII(a.Email)
		}
	}
	switch n := len(m.To); {
	case n == 0:
		return nil, errors.New("it has no recipients: set to")
	case n > MostRecipients:
		return nil, fmt.Errorf("it has %d recipients, more than %d", n, MostRecipients)
	}
	m.head.fields = append(m.head.fields, r.trace.fields...)
	m.head.date("Resent-Date", r.date)
	m.head.addresses("Resent-From", []parser.Address{r.from})
	m.head.addresses("Resent-To", r.to)
	m.head.addresses("Resent-Cc", r.cc)
	if len(r.to)+len(r.cc) == 0 {
		m.head.add("Resent-To", "undisclosed-recipients:;")
	}
	m.head.add("Resent-Message-ID", "<"+m.MessageID+">")
	folded, err := beginsFolded(r.octets.Reader())
	if err != nil {
		return nil, err
	}
	if folded { // what the mail begins with would go on where our last field ends
		m.head.add("X-Postferry-Redirected", "the mail begins with a folded line:")
	}
	t, err := look(r.octets.Reader())
	m.EightBit = t.eightBit
	return m, err
}

// beginsFolded tells whether the first octet that will be written is a space.
func beginsFolded(r io.Reader) (bool, error) {
	for b := bufio.NewReader(r); ; {
		c, err := b.ReadByte()
		switch {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		case c != 0: // NUL is left out
			return c == ' ' || c == '\t', nil
		}
	}
}
