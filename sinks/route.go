package sinks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/spool"
)

// Condition says whether a route takes a mail. It is called by several
// goroutines at once and must change neither argument. An error, or a panic,
// makes a dead letter of this mail for this route, with the reason.
type Condition func(m *parser.Message, from Origin) (bool, error)

// Route is one entry of a mailbox's list.
type Route struct {
	To   string    // the sink's name
	When Condition // nil: every mail
	Stop bool      // where it takes the mail, the entries after it are not looked at
}

// Evaluate walks a mailbox's routes: to are the sinks that get the mail, in
// order and each once; failed are the sinks whose condition could not be told,
// with the reason, unless another route sends the mail there all the same. They
// are in to as well, so that their dead letter has a place.
func Evaluate(routes []Route, m *parser.Message, from Origin) (to []string, failed map[string]string) {
	failed = map[string]string{}
	taken := map[string]bool{}
	for i, r := range routes {
		holds, err := r.holds(m, from)
		if !holds && err == nil {
			continue
		}
		if !slices.Contains(to, r.To) {
			to = append(to, r.To)
		}
		if err != nil {
			if !taken[r.To] {
				failed[r.To] = fmt.Sprintf("the condition of route %d, to %s, failed: %s", i+1, r.To, clip(err.Error()))
			}
			continue
		}
		taken[r.To] = true
		delete(failed, r.To)
		if r.Stop {
			break
		}
	}
	return to, failed
}

func (r Route) holds(m *parser.Message, from Origin) (holds bool, err error) {
	if r.When == nil {
		return true, nil
	}
	defer func() {
		if fault := recover(); fault != nil {
			holds, err = false, fmt.Errorf("a defect in the condition: %v", fault)
		}
	}()
	return r.When(m, from)
}

// Split makes the deliveries of one mail: one for each sink, or one for each
// attachment where the sink wants that.
func Split(to []string, destinations map[string]Destination, m *parser.Message) []spool.To {
	var all []spool.To
	for _, name := range to {
		s, splits := destinations[name].Sink.(Splitter)
		if !splits || !s.SplitsAttachments() || len(m.Attachments) == 0 {
			all = append(all, spool.To{Sink: name})
			continue
		}
		before, wants := len(all), destinations[name].Wants
		for i := range m.Attachments {
			if a := &m.Attachments[i]; wants == nil || wants(a) {
				all = append(all, spool.To{Sink: name, Part: a.PartID})
			}
		}
		if len(all) == before { // there is nothing in it for the sink
			all = append(all, spool.To{Sink: name})
		}
	}
	return all
}

// OriginOf says where an item was taken.
func OriginOf(i *spool.Item) Origin {
	o := Origin{Name: i.Mailbox, Protocol: i.Protocol, Flags: slices.Clone(i.Flags), Address: addressOf(i.Account)}
	if o.Flags == nil {
		o.Flags = []string{}
	}
	switch i.Protocol {
	case "pop3":
		o.UIDL = &i.UID
		return o
	case spool.LocalProtocol: // it was in no folder
		return o
	}
	o.Folder = &i.Box
	validity, uid, _ := strings.Cut(i.UID, "/")
	o.UIDValidity, o.UID = number(validity), number(uid)
	return o
}

// addressOf is the user name of an account (user@host), if it is an address
// itself.
func addressOf(account string) string {
	user := account[:max(strings.LastIndexByte(account, '@'), 0)]
	if !strings.Contains(user, "@") {
		return ""
	}
	return user
}

// number reads an nz-number (RFC 9051, section 9); nil for anything else.
func number(s string) *uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return nil
	}
	n32 := uint32(n)
	return &n32
}
