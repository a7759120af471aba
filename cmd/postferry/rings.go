package main

import (
	"slices"
	"strings"

	"github.com/postferry/postferry/sinks"
)

// address is the mailbox's own, where its user name is one.
func (m mailboxSetup) address() string {
	if strings.Contains(m.Username, "@") {
		return strings.ToLower(m.Username)
	}
	return ""
}

// own are the addresses of all mailboxes.
func (s *setup) own() (all []string) {
	for _, m := range s.Mailboxes {
		if a := (mailboxSetup{Mailbox: m}).address(); a != "" && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// mailer is a sink that sends mail.
type mailer interface {
	// Recipients are the addresses it sends to whatever a mail says.
	Recipients() []string
	// Complete tells whether it can send something for a mail that is routed to it
	// from the mailbox of that address, and not only what an answer asks for.
	Complete(mailbox string) error
}

// complete refuses a route to a sink that has nothing to send, or nobody to send
// it.
func (s *setup) complete(k sinkSetup, m mailer) error {
	for _, box := range s.mailboxes {
		if slices.ContainsFunc(box.routes, func(r sinks.Route) bool { return r.To == k.Name }) {
			if err := m.Complete(box.address()); err != nil {
				return k.Section.Error("", err)
			}
		}
	}
	return nil
}

// sendersOf are a sink, and those that its answers may ask for mail.
func (s *setup) sendersOf(sink string) []string { return append([]string{sink}, s.asks[sink]...) }

// reaches tells whether mail to an address comes to the mailbox of another: without
// regard to case, and with any tag.
func reaches(address, mailbox string) bool {
	local, domain, _ := strings.Cut(strings.ToLower(address), "@")
	local, _, _ = strings.Cut(local, "+")
	own, at, _ := strings.Cut(mailbox, "@")
	own, _, _ = strings.Cut(own, "+")
	return mailbox != "" && local == own && domain == at
}

// rings finds mailboxes whose mail comes back to them: sent by a sink to another
// mailbox of this configuration, or itself, and so on. sends are the addresses each
// sink sends to whatever a mail says. Conditions of routes do not count: what they
// let through is for the mail to say.
func (s *setup) rings(sends map[string][]string) (errs []error) {
	next := map[string][]string{} // mailboxes, by name
	by := map[[2]string]string{}  // the sink
	for _, m := range s.mailboxes {
		for i := range m.Deliver {
			for _, sink := range s.sendersOf(m.Deliver[i].To) {
				for _, a := range sends[sink] {
					for _, to := range s.mailboxes {
						if reaches(a, to.address()) {
							next[m.Name] = append(next[m.Name], to.Name)
							by[[2]string{m.Name, to.Name}] = sink
						}
					}
				}
			}
		}
	}
	for _, m := range s.mailboxes {
		if way := wayBack(next, m.Name, m.Name, map[string]bool{}); way != nil {
			ring := strings.Join(append([]string{m.Name}, way...), " to ")
			errs = append(errs, m.Section.Errorf("deliver", "mail would go round in circles: from %s, by sink %s; change its to, or leave the route out", ring, by[[2]string{m.Name, way[0]}]))
			return errs
		}
	}
	return nil
}

// wayBack is how mail gets from one mailbox to another; nil: not at all.
func wayBack(next map[string][]string, from, to string, seen map[string]bool) []string {
	for _, n := range next[from] {
		if n == to {
			return []string{n}
		}
		if seen[n] {
			continue
		}
		seen[n] = true
		if rest := wayBack(next, n, to, seen); rest != nil {
			return append([]string{n}, rest...)
		}
	}
	return nil
}
