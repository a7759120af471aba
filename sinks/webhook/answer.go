package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
)

const (
	maxAnswer   = 64 << 10 // octets of an answer that are read, so that the connection can be used again
	keptAnswer  = 4 << 10  // of which these are looked at
	maxWait     = 24 * time.Hour
	minWait     = time.Second
	answerShown = 512 // of which these are kept, escaped
)

// readAnswer reads the answer's body up to maxAnswer and returns its beginning
// for the record. An answer that breaks off has still been given: its status
// counts.
func (s *Sink) readAnswer(resp *http.Response) string {
	if resp.ContentLength == 0 {
		return ""
	}
	first, err := io.ReadAll(io.LimitReader(resp.Body, keptAnswer))
	cut := len(first) == keptAnswer
	if err == nil && cut {
		io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer-keptAnswer))
	}
	text := s.redact.begin(string(first), cut)
	if len(text) > answerShown {
		text = text[:answerShown] + "…"
	}
	return dial.Printable(text)
}

// judge turns a status into the sink's verdict (docs/guarantees.md, "Delivery").
// A status it does not know is temporary: nothing is lost by trying again.
func (s *Sink) judge(resp *http.Response, answer string) (sinks.Receipt, error) {
	code := resp.StatusCode
	detail := strconv.Itoa(code)
	if code >= 200 && code <= 299 {
		return sinks.Receipt{Detail: detail, Answer: answer}, nil
	}
	said := strings.TrimSpace(detail + " " + http.StatusText(code))
	err := error(&sinks.AttemptError{Detail: detail, Answer: answer, Err: fmt.Errorf("%s answered %s%s", s.host, said, hint(code))})
	switch code {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusMisdirectedRequest:
		err = sinks.SinkFault(err)
	case http.StatusGone:
		// The receiver asks for no more requests: look again once a day.
		return sinks.Receipt{}, sinks.RetryAfter(maxWait, sinks.SinkFault(err))
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		err = sinks.MailFault(err)
	}
	if wait, ok := retryAfter(resp.Header.Get("Retry-After"), s.clock.Now()); ok {
		err = sinks.RetryAfter(wait, err)
	}
	return sinks.Receipt{}, err
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

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds or a date,
// clamped to between a second and a day. What it cannot read it does not heed.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && seconds > 0, err == nil && seconds > int64(maxWait/time.Second):
		return maxWait, true
	case errors.Is(err, strconv.ErrRange):
		return minWait, true
	case err == nil:
		return max(minWait, time.Duration(seconds)*time.Second), true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), minWait), maxWait), true
}
