package compose

import (
	"errors"
	"io"

	"github.com/emersion/go-message"

	"github.com/postferry/postferry/sinks/smtp/submit"
)

// Offers are what the server that the mail goes to can do with it. SMTPUTF8 (RFC
// 6531) includes 8BITMIME.
type Offers = submit.Offers

// ErrEightBit says that a mail has octets that the server does not take, and that
// must not be changed. ErrUTF8 says that of an address.
var (
	ErrEightBit = errors.New("the mail has octets beyond US-ASCII and may not be changed, and the server does not offer 8BITMIME: send it through one that does, or use action: forward")
	ErrUTF8     = errors.New("an address has letters beyond US-ASCII before its @, and the server does not offer SMTPUTF8: send it through one that does")
)

// Mail is one mail, ready to be sent. It may be written any number of times.
type Mail struct {
	From      string   // the reverse-path; "" is the null one
	To        []string // the forward-paths, each once; never empty
	MessageID string   // without <>
	UTF8      bool     // it can only go to a server that offers SMTPUTF8
	EightBit  bool     // it can only go to a server that offers 8BITMIME

	head header
	body content // nil: a redirected mail, whose octets follow head as they are
	open func() io.Reader
}

// Fits tells whether a server that offers so much can take the mail: nil,
// ErrEightBit or ErrUTF8.
func (m *Mail) Fits(o Offers) error {
	switch {
	case m.UTF8 && !o.UTF8:
		return ErrUTF8
	case m.EightBit && !o.EightBit && !o.UTF8:
		return ErrEightBit
	}
	return nil
}

// WriteTo writes the mail for a server with these offers: lines of at most 998
// octets that end in CRLF, no other CR or LF, and no NUL. A redirected mail keeps
// the lengths of its lines. Dots are not doubled.
func (m *Mail) WriteTo(w io.Writer, o Offers) error {
	if err := m.Fits(o); err != nil {
		return err
	}
	o.EightBit = o.EightBit || o.UTF8
	out := &lineEnds{w: w}
	if m.body == nil {
		if _, err := out.Write(m.head.octets()); err != nil {
			return err
		}
		if _, err := io.Copy(out, m.open()); err != nil {
			return err
		}
		return out.close()
	}
	p := m.body.part(o)
	p.head.fields = append(m.head.fields[:len(m.head.fields):len(m.head.fields)], p.head.fields...)
	root, err := message.CreateWriter(out, p.head.message())
	if err == nil {
		err = p.write(root, o)
	}
	if err != nil {
		return err
	}
	return out.close()
}

// Size is how many octets WriteTo writes. It reads what the mail consists of.
func (m *Mail) Size(o Offers) (int64, error) {
	var n counter
	err := m.WriteTo(&n, o)
	return int64(n), err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
