package dial

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postferry/postferry/internal/secret"
)

// The steps by which a session on a mail server begins. Where the connection is
// upgraded in band, the greeting comes before TLS.
const (
	StepToken        = "token" // OAuth 2.0 alone, before all others
	StepDNS          = "DNS"
	StepTCP          = "TCP"
	StepTLS          = "TLS"
	StepGreeting     = "greeting"
	StepSignIn       = "sign-in"
	StepCapabilities = "capabilities"
)

// maxLines is how many lines of the transcript of one step are kept.
const maxLines = 200

// Step is one step of a session and what was seen in it.
type Step struct {
	Name    string
	Said    string        // what was seen; "" if nothing worth telling
	Warning string        // what will be trouble later, and how to avoid it
	Took    time.Duration // until the next step began
	Lines   []Line        // what was said on the wire
	Omitted int           // further lines, not kept
}

// Line is one line of a transcript, with no secret in it.
type Line struct {
	At   time.Duration // since the record began
	From string        // "C", the client, or "S", the server
	Text string
}

// Record notes, step by step, what happens to a connection that is dialled with
// the context it was given to by WithRecord. Dialer and Conn note what they see
// themselves; the protocol above says when its steps begin. Everything noted is
// safe to show: what is sent during StepSignIn is not looked at at all, and
// nothing a server says is kept that holds a secret in any form a Hider knows.
//
// All methods may be called on a nil Record, which notes nothing, and by several
// goroutines at once.
type Record struct {
	hide atomic.Pointer[Hider]

	mu      sync.Mutex
	began   time.Time
	started time.Time // when the step under way began
	steps   []Step    // the last one is under way
	onStep  func()
	offers  []string
	heard   assembler // what the server says
	imap    bool
	pop3    bodies
}

// NewRecord begins a record of a session in which these secrets may be sent.
func NewRecord(secrets ...secret.Secret) *Record {
	now := time.Now()
	r := &Record{began: now, started: now}
	r.hide.Store(NewHider(secrets...))
	return r
}

// Hide adds secrets that become known while the record is kept.
func (r *Record) Hide(secrets ...secret.Secret) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hide.Store(r.hide.Load().and(secrets))
}

type recordKey struct{}

// WithRecord makes connections dialled with the context note what they see.
func WithRecord(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// RecordOf is the context's record; nil if there is none.
func RecordOf(ctx context.Context) *Record {
	r, _ := ctx.Value(recordKey{}).(*Record)
	return r
}

// dialling notes that a connection to the server is begun.
func (r *Record) dialling(s Server) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.imap = strings.HasPrefix(s.Scheme, "imap")
	r.mu.Unlock()
	r.Begin(StepDNS)
}

// OnStep sets a function that is called whenever a step begins.
func (r *Record) OnStep(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onStep = f
}

// Begin ends the step under way, which thereby succeeded, and begins another.
// Beginning the step that is under way has no effect.
func (r *Record) Begin(step string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	if n := len(r.steps); n > 0 && r.steps[n-1].Name == step {
		r.mu.Unlock()
		return
	}
	r.end()
	r.steps = append(r.steps, Step{Name: step})
	notify := r.onStep
	r.mu.Unlock()
	if notify != nil {
		notify()
	}
}

// end closes the step under way. r.mu is held.
func (r *Record) end() {
	now := time.Now()
	if n := len(r.steps); n > 0 {
		r.steps[n-1].Took += now.Sub(r.started)
	}
	r.started = now
}

// Current is the step under way; "" before the first.
func (r *Record) Current() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current()
}

func (r *Record) current() string {
	if len(r.steps) == 0 {
		return ""
	}
	return r.steps[len(r.steps)-1].Name
}

// Said notes what was seen in the step under way. Words of the server among it
// have to go through Clean first.
func (r *Record) Said(format string, args ...any) {
	r.note(func(s *Step, text string) { s.Said = text }, format, args...)
}

// Warn adds a warning to the step under way; as for Said.
func (r *Record) Warn(format string, args ...any) {
	r.note(func(s *Step, text string) {
		if s.Warning != "" {
			text = s.Warning + "; " + text
		}
		s.Warning = text
	}, format, args...)
}

func (r *Record) note(set func(*Step, string), format string, args ...any) {
	if r == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.steps); n > 0 {
		set(&r.steps[n-1], text)
	}
}

// Offers notes what the server says it can do.
func (r *Record) Offers(capabilities []string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.offers = slices.Clone(capabilities)
	r.mu.Unlock()
	r.Said("%s", r.Clean(strings.Join(capabilities, " ")))
}

// Offered is what Offers was told last.
func (r *Record) Offered() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.offers)
}

// Clean is what a server said with the record's secrets masked, safe to show.
func (r *Record) Clean(text string) string {
	if r == nil {
		return Printable(text)
	}
	return Printable(r.hide.Load().Clean(text))
}

// Steps ends the step under way and gives all of them.
func (r *Record) Steps() []Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard.flush(r.hear)
	r.end()
	steps := slices.Clone(r.steps)
	for i := range steps {
		steps[i].Lines = slices.Clone(steps[i].Lines)
	}
	return steps
}

// secured notes what TLS has established.
func (r *Record) secured(state tls.ConnectionState) {
	if r == nil {
		return
	}
	said, warning := describe(state, time.Now(), r.Clean)
	r.Said("%s", said)
	if warning != "" {
		r.Warn("%s", warning)
	}
}
