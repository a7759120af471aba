package main

import (
	"slices"
	"strings"

	"github.com/postferry/postferry/config"
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

// rings finds mailboxes whose mail comes back to them: sent by a sink to another
// mailbox of this configuration, or itself, and so on. sends are the addresses each
// sink sends to whatever a mail says.
func (s *setup) rings(sends map[string][]string) (errs []error) {
	next := map[string][]string{} // mailboxes, by name
	by := map[[2]string]*config.Route{}
	for _, m := range s.mailboxes {
		for i := range m.Deliver {
			for _, a := range sends[m.Deliver[i].To] {
				for _, to := range s.mailboxes {
					if to.address() != "" && strings.EqualFold(to.address(), a) {
						next[m.Name] = append(next[m.Name], to.Name)
						by[[2]string{m.Name, to.Name}] = &m.Deliver[i]
					}
				}
			}
		}
	}
	for _, m := range s.mailboxes {
		if way := wayBack(next, m.Name, m.Name, map[string]bool{}); way != nil {
			ring := strings.Join(append([]string{m.Name}, way...), " to ")
			errs = append(errs, m.Section.Errorf("deliver", "mail would go round in circles: from %s, by sink %s; change its to, or leave the route out", ring, by[[2]string{m.Name, way[0]}].To))
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
