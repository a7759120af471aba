package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

// explanation is what a mail would meet; the answer of `explain -o json`.
type explanation struct {
	File     string           `json:"file"`
	Mailbox  string           `json:"mailbox"`
	Routes   []explainedRoute `json:"routes"`   // each route of the mailbox, in order
	Sinks    []string         `json:"sinks"`    // that get the mail
	Requests []explained      `json:"requests"` // one for each delivery
}

// explainedRoute is one route and whether it takes the mail.
type explainedRoute struct {
	To     string `json:"to"`
	When   string `json:"when"`   // "" is every mail
	Taken  bool   `json:"taken"`  // it gives the mail to the sink
	Looked bool   `json:"looked"` // false: a route with stop came before it
	Error  string `json:"error"`  // why its condition could not be told; the delivery would be a dead letter
}

// explained is one request, with secrets masked.
type explained struct {
	Sink     string      `json:"sink"`
	Part     string      `json:"part"` // the attachment, where each goes by itself
	Delivery string      `json:"delivery"`
	Method   string      `json:"method"`
	URL      string      `json:"url"`
	Header   http.Header `json:"header"`
	Body     string      `json:"body"`
	Error    string      `json:"error"` // why there is no request
}

func (c *cli) explainCommand() *cobra.Command {
	var output outputFlag
	var mailbox string
	var expect []string
	cmd := &cobra.Command{
		Use:   "explain FILE --mailbox NAME",
		Short: "Show which routes a mail would take, and the requests it would make",
		Long: `Explain reads a mail from a file (- is standard input) as if it had been taken
from the mailbox, and shows each route with whether it takes the mail, and each
request a sink would get. Nothing is sent and no store is opened.

With --expect it exits with 1 unless the mail goes to exactly those sinks, for
tests of a configuration.`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usageError(errors.New("explain needs one FILE, or - for standard input"))
			case mailbox == "":
				return usageError(errors.New("explain needs --mailbox NAME"))
			}
			return output.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.load(cmd.Flags(), true)
			if err != nil {
				return err
			}
			e, err := c.explain(s, args[0], mailbox)
			if err != nil {
				return err
			}
			if err := output.write(c.out, e, func() { e.print(c.out) }); err != nil {
				return err
			}
			if cmd.Flags().Changed("expect") {
				return e.expected(expect)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&mailbox, "mailbox", "", "the mailbox whose routes are looked at")
	cmd.Flags().StringSliceVar(&expect, "expect", nil, "fail unless the mail goes to exactly these `SINK`s; \"\" is none")
	output.add(cmd)
	return cmd
}

// explain reads the mail and follows it.
func (c *cli) explain(s *setup, file, name string) (*explanation, error) {
	i := slices.IndexFunc(s.mailboxes, func(m mailboxSetup) bool { return m.Name == name })
	if i < 0 {
		return nil, usageError(fmt.Errorf("no mailbox is called %q; there are %s", name, strings.Join(mailboxNames(s), ", ")))
	}
	octets, err := c.readMail(file)
	if err != nil {
		return nil, &exitError{code: exitData, err: err}
	}
	defer octets.Close()
	box := s.mailboxes[i]
	limits := parser.DefaultLimits()
	limits.AuthservIDs = box.AuthservIDs
	m, err := parser.Parse(octets, octets.Size(), limits)
	if err != nil {
		return nil, &exitError{code: exitData, err: fmt.Errorf("reading %s: %w", file, err)}
	}
	x := &explanation{File: file, Mailbox: name, Sinks: []string{}, Requests: []explained{}}
	from := origin(box)
	to, failed := sinks.Evaluate(box.routes, m, from)
	x.follow(box, m, from, failed)
	x.Sinks = append(x.Sinks, to...)
	now := time.Now().UTC().Truncate(time.Second)
	for _, sink := range to {
		if why := failed[sink]; why != "" {
			x.Requests = append(x.Requests, explained{Sink: sink, Error: why})
			continue
		}
		x.preview(s, sink, sinks.Delivery{Attempt: 1, Timestamp: now, Origin: from, Message: m, Octets: octets}, box.account())
	}
	return x, nil
}

// origin says where the mail would have been taken.
func origin(m mailboxSetup) sinks.Origin {
	i := &spool.Item{Mailbox: m.Name, Protocol: m.kind.name, UID: "0/0"}
	i.BoxKey = spool.BoxKey{Account: m.account(), Box: fetcher.Maildrop}
	return sinks.OriginOf(i)
}

func mailboxNames(s *setup) []string {
	var names []string
	for _, m := range s.mailboxes {
		names = append(names, m.Name)
	}
	return names
}

// follow tells of each route what it does with the mail.
func (x *explanation) follow(box mailboxSetup, m *parser.Message, from sinks.Origin, failed map[string]string) {
	looking := true
	for i, r := range box.routes {
		e := explainedRoute{To: r.To, When: box.Deliver[i].When, Looked: looking}
		if looking {
			to, _ := sinks.Evaluate([]sinks.Route{r}, m, from)
			e.Taken = len(to) > 0
			_, fails := sinks.Evaluate([]sinks.Route{r}, m, from)
			if e.Error = fails[r.To]; e.Error != "" {
				e.Taken = false
			}
			looking = !(e.Taken && r.Stop)
		}
		x.Routes = append(x.Routes, e)
	}
}

// preview makes the requests of one sink.
func (x *explanation) preview(s *setup, name string, d sinks.Delivery, account string) {
	k := s.sinks[slices.IndexFunc(s.sinks, func(k sinkSetup) bool { return k.Name == name })]
	dest, err := k.destination(true)
	if err != nil {
		x.Requests = append(x.Requests, explained{Sink: name, Error: err.Error()})
		return
	}
	defer dest.Sink.Close()
	for _, to := range sinks.Split([]string{name}, map[string]sinks.Destination{name: dest}, d.Message) {
		d.ID, d.Part = spool.DeliveryID(account, d.Octets.SHA256(), 0, to), to.Part
		x.Requests = append(x.Requests, previewOf(name, dest.Sink, &d))
	}
}

// previewOf asks a sink what it would send.
func previewOf(name string, sink sinks.Sink, d *sinks.Delivery) explained {
	e := explained{Sink: name, Part: d.Part, Delivery: d.ID}
	p, ok := sink.(sinks.Previewer)
	if !ok {
		e.Error = "this kind of sink cannot show its requests"
		return e
	}
	r, err := p.Preview(d)
	if err != nil {
		e.Error = err.Error()
		return e
	}
	e.Method, e.URL, e.Header, e.Body = r.Method, r.URL, r.Header, string(r.Body)
	switch {
	case utf8.ValidString(e.Body):
	case strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/"):
		e.Body = strings.ToValidUTF8(e.Body, "\uFFFD") // the files in it
	default:
		e.Body = fmt.Sprintf("%d octets that are not UTF-8", len(r.Body))
	}
	return e
}

// expected compares the sinks with those expected, in any order.
func (x *explanation) expected(want []string) error {
	want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "" })
	slices.Sort(want)
	got := slices.Sorted(slices.Values(x.Sinks))
	if slices.Equal(got, slices.Compact(want)) {
		return nil
	}
	return &exitError{code: exitUnexpected, err: fmt.Errorf("the mail goes to [%s], expected was [%s]", strings.Join(got, ", "), strings.Join(want, ", "))}
}

func (x *explanation) print(w io.Writer) {
	fmt.Fprintf(w, "%s, as a mail of mailbox %s\n", x.File, x.Mailbox)
	for i, r := range x.Routes {
		verdict := "does not take it"
		switch {
		case r.Error != "":
			verdict = "would be a dead letter: " + r.Error
		case r.Taken:
			verdict = "takes it"
		case !r.Looked:
			verdict = "is not looked at: an earlier route stops"
		}
		when := "every mail"
		if r.When != "" {
			when = "when " + r.When
		}
		fmt.Fprintf(w, "route %d to %s, %s: %s\n", i+1, r.To, when, verdict)
	}
	if len(x.Sinks) == 0 {
		fmt.Fprintln(w, "no route takes it: it would be shown as unrouted and left on the server")
	}
	for _, r := range x.Requests {
		r.print(w)
	}
}

func (r explained) print(w io.Writer) {
	fmt.Fprintf(w, "\nsink %s, delivery %s", r.Sink, r.Delivery)
	if r.Part != "" {
		fmt.Fprintf(w, ", part %s", r.Part)
	}
	fmt.Fprintln(w)
	if r.Error != "" {
		fmt.Fprintln(w, dial.Printable(r.Error))
		return
	}
	fmt.Fprintln(w, strings.TrimSpace(r.Method+" "+r.URL))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(w, "\n%s\n", strings.TrimRight(r.Body, "\n"))
}
