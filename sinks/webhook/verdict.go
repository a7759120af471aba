package webhook

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
)

// judge turns an answer into the sink's verdict (see the package comment). A
// status it does not know is temporary: nothing is lost by trying again.
func (s *Sink) judge(d *sinks.Delivery, to *url.URL, a *answer) (sinks.Receipt, error) {
	detail := strconv.Itoa(a.status)
	success, why := s.success(a)
	if success {
		return s.accepted(d, detail, a)
	}
	said := strings.TrimSpace(detail + " " + http.StatusText(a.status))
	if why != "" {
		why = ", and " + dial.Printable(s.redact.Replace(why))
	}
	err := error(&sinks.AttemptError{Detail: detail, Answer: a.shown, Err: fmt.Errorf("%s answered %s%s%s", to.Host, said, why, hint(a.status))})
	if s.render.Stops(a.status) {
		return sinks.Receipt{}, sinks.Permanent(fmt.Errorf("%w; in the sink's format this status ends the delivery", err))
	}
	switch {
	case blames(a.status) == theMail:
		err = sinks.MailFault(err)
	case blames(a.status) == theSink && !s.target.made: // else it concerns this url alone
		err = sinks.SinkFault(err)
	}
	if a.status == http.StatusGone {
		if s.target.made {
			s.held.hold(to, maxWait)
		}
		return sinks.Receipt{}, sinks.RetryAfter(maxWait, err)
	}
	if wait, ok := retryAfter(a.header.Get("Retry-After"), s.clock.Now()); ok {
		return sinks.Receipt{}, sinks.RetryAfter(wait, err)
	}
	if wait, ok := retryIn(a.json()); ok {
		return sinks.Receipt{}, sinks.RetryAfter(wait, err)
	}
	return sinks.Receipt{}, err
}

// accepted is the receipt for a yes, with what the answer asked for.
func (s *Sink) accepted(d *sinks.Delivery, detail string, a *answer) (sinks.Receipt, error) {
	if !s.directives.any() {
		return sinks.Receipt{Detail: detail, Answer: a.shown}, nil
	}
	asked := s.directives.read(a.json(), d.Origin.Folder != nil)
	if asked.again > 0 {
		err := &sinks.AttemptError{Detail: detail, Answer: a.shown, Err: fmt.Errorf("the answer %s asks for the mail again in %s", detail, asked.again)}
		return sinks.Receipt{}, sinks.RetryAfter(asked.again, err)
	}
	if !a.whole && len(a.octets) > 0 {
		asked.refuse("the answer broke off, or is longer than %d octets", s.keeps())
	}
	for _, why := range asked.refused {
		detail += "; a directive is refused: " + s.redact.Replace(why)
	}
	return sinks.Receipt{Detail: detail, Answer: a.shown, Actions: asked.actions, Errands: asked.errands}, nil
}

// success tells whether the answer is a yes, and what the sink's conditions said
// where they made it a no. An answer of which they cannot be told is no yes.
func (s *Sink) success(a *answer) (yes bool, why string) {
	yes = a.status >= 200 && a.status <= 299
	if s.failWhen != nil {
		if fails, why := s.failWhen.holds(a, true); fails {
			return false, why
		}
	}
	if s.successWhen == nil {
		return yes, ""
	}
	holds, why := s.successWhen.holds(a, false)
	if holds {
		return true, ""
	}
	return false, why
}

// blame is whose fault a status says it is.
type blame int

const (
	nobody blame = iota
	theSink
	theMail
)

func blames(status int) blame {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusMisdirectedRequest, http.StatusGone:
		return theSink
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity:
		return theMail
	}
	return nobody
}

// hint is what the operator can change, where the status tells.
func hint(code int) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return " — check the sink's secret, basic, bearer or headers"
	case http.StatusNotFound, http.StatusMisdirectedRequest:
		return " — check the sink's url"
	case http.StatusMethodNotAllowed:
		return " — check the sink's url and method"
	case http.StatusProxyAuthRequired:
		return " — check the sink's proxy"
	case http.StatusGone:
		return " — the receiver wants no more mail at this url: change the sink's url or remove the sink"
	case http.StatusRequestEntityTooLarge:
		return " — the receiver takes no mail of this size: raise its limit, or send less with attachments: metadata"
	}
	if code >= 300 && code <= 399 {
		return " — redirects are not followed: set the sink's url to where it leads"
	}
	return ""
}
