// Package script holds what the test servers for IMAP, POP3 and SMTP share: replies
// that a test puts in place of the server's own, octet for octet, by silence or by the
// end of the connection; and the server's half of a sign-in.
package script

import (
	"bufio"
	"io"
	"strings"
	"time"
)

// Reply is what a server does in place of its own reply.
type Reply struct {
	Octets  string            // sent as they are
	Endless string            // then repeated until the client goes away
	Stream  func(w io.Writer) // then what this writes, which may be too much to hold
	Cut     bool              // then the connection is closed
	Silent  bool              // then nothing more is ever said
	Obeyed  bool              // what was asked for is done before
	Own     bool              // then the server's own reply follows
	Times   int               // how often it replaces; 0 is always

	Drip  string        // then this is sent, octet by octet
	Every time.Duration // one
}

// Say replies with these octets and goes on.
func Say(octets string) Reply { return Reply{Octets: octets} }

// Cut sends these octets and closes the connection.
func Cut(octets string) Reply { return Reply{Octets: octets, Cut: true} }

// Silence sends these octets and then nothing more.
func Silence(octets string) Reply { return Reply{Octets: octets, Silent: true} }

// Endless sends these octets, and then others again and again.
func Endless(octets, again string) Reply { return Reply{Octets: octets, Endless: again} }

// Stream sends these octets, and then what write writes.
func Stream(octets string, write func(w io.Writer)) Reply {
	return Reply{Octets: octets, Stream: write}
}

// Drips sends one octet at a time, so far apart, and again from the first when all
// are sent.
func Drips(octets string, every time.Duration) Reply { return Reply{Drip: octets, Every: every} }

// Once makes a reply that replaces one time only.
func (r Reply) Once() Reply { r.Times = 1; return r }

// After makes a reply that follows after what was asked for is done.
func (r Reply) After() Reply { r.Obeyed = true; return r }

// Send gives the reply to a client, of whom nothing is heeded that it says during
// silence. It reports whether the session goes on.
func (r Reply) Send(client io.Writer, said io.Reader) bool {
	if _, err := io.WriteString(client, r.Octets); err != nil {
		return false
	}
	if r.Drip != "" {
		return r.drip(client)
	}
	if r.Stream != nil {
		w := bufio.NewWriter(client)
		r.Stream(w)
		if w.Flush() != nil {
			return false
		}
	}
	if r.Endless != "" {
		chunk := []byte(strings.Repeat(r.Endless, 1+8192/len(r.Endless)))
		for {
			if _, err := client.Write(chunk); err != nil {
				return false
			}
		}
	}
	if r.Silent {
		io.Copy(io.Discard, said)
	}
	return !r.Cut && !r.Silent
}

// drip goes on until the client goes away.
func (r Reply) drip(client io.Writer) bool {
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for i := 0; ; i++ {
		<-tick.C
		if _, err := client.Write([]byte{r.Drip[i%len(r.Drip)]}); err != nil {
			return false
		}
	}
}

// Script maps a command line, or its keyword alone, to what replaces its reply. The
// longer name goes first.
type Script map[string]Reply

// Take is the reply in place of that to line, with that keyword, which is thereby used
// once.
func (s Script) Take(line, keyword string) (r Reply, is bool) {
	for _, name := range []string{line, keyword} {
		r, ok := s[name]
		if !ok {
			continue
		}
		if r.Times > 0 {
			if r.Times--; r.Times == 0 {
				delete(s, name)
			} else {
				s[name] = r
			}
		}
		return r, true
	}
	return Reply{}, false
}
