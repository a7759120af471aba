package pop3

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/dial"
)

// offers are what a server says it can do (RFC 2449 section 5).
type offers struct {
	named bool                // it answered CAPA
	lines []string            // as they came
	tags  map[string][]string // arguments by capability, in upper case
}

// has reports a capability.
func (o offers) has(tag string) bool {
	_, ok := o.tags[tag]
	return ok
}

// learn takes one line of the list.
func (o *offers) learn(line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	tag := strings.ToUpper(words[0])
	if o.tags == nil {
		o.tags = map[string][]string{}
	}
	o.lines = append(o.lines, line)
	o.tags[tag] = append(o.tags[tag], words[1:]...)
}

// capabilities asks what the server offers before the sign-in. After STLS only what
// is said now counts (RFC 2595 section 4). A server without CAPA offers nothing.
func (x *session) capabilities(ctx context.Context) error {
	dial.RecordOf(ctx).Begin(dial.StepCapabilities)
	if err := x.ask(ctx); err != nil {
		return err
	}
	x.tell(ctx)
	return nil
}

// userCapabilities asks again where the answer may be another one once it is known
// who asks: where the list says so (RFC 2449 section 6.5 and 6.7: USER behind
// LOGIN-DELAY and EXPIRE), and where it named no PIPELINING, which some servers
// keep for those they know.
func (x *session) userCapabilities(ctx context.Context) error {
	again := x.offers.named && !x.offers.has("PIPELINING")
	for _, tag := range []string{"LOGIN-DELAY", "EXPIRE"} {
		for _, word := range x.offers.tags[tag] {
			again = again || strings.EqualFold(word, "USER")
		}
	}
	if again {
		dial.RecordOf(ctx).Begin(stepUserCapabilities)
		if err := x.ask(ctx); err != nil {
			return err
		}
		x.tell(ctx)
	}
	x.pipelining = x.offers.has("PIPELINING") // RFC 2449 section 6.6
	return nil
}

// Pause implements fetcher.Pacer: the seconds that LOGIN-DELAY announces (RFC 2449
// section 6.5).
func (x *session) Pause() time.Duration {
	for _, word := range x.offers.tags["LOGIN-DELAY"] {
		if n, ok := number(word); ok {
			return time.Duration(min(n, int64(maxDelay/time.Second))) * time.Second
		}
	}
	return 0
}

// maxDelay bounds what a server can announce.
const maxDelay = 365 * 24 * time.Hour

// stepUserCapabilities is the second question.
const stepUserCapabilities = "capabilities of the user"

// ask sends CAPA.
func (x *session) ask(ctx context.Context) error {
	var fresh offers
	err := x.do(ctx, "asking for the capabilities", func() error {
		x.g.collect(func(line []byte) error {
			fresh.learn(string(line))
			return nil
		}, maxCapa)
		_, err := x.client.Cmd("CAPA", true)
		return err
	})
	if _, refused := errors.AsType[*refusal](err); refused {
		return nil
	}
	if err == nil {
		fresh.named = true
		x.offers = fresh
	}
	return err
}

// tell shows the record what there is.
func (x *session) tell(ctx context.Context) {
	record := dial.RecordOf(ctx)
	if !x.offers.named {
		record.Said("the server names none")
		return
	}
	record.Offers(x.offers.lines)
}
