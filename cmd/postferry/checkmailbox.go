package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/imap"
	"github.com/postferry/postferry/internal/dial"
)

// mailboxCheck is the check of one mailbox under way.
type mailboxCheck struct {
	mailboxSetup
	server dial.Server
	record *dial.Record
	failed map[string]error // by step
}

// folderStep names the step of one folder.
func folderStep(box string) string { return "folder " + dial.Printable(box) }

// checkMailbox signs in and looks at the folders, changing nothing.
func checkMailbox(ctx context.Context, m mailboxSetup, f checkFlags, t *checkTarget) {
	server, _ := dial.Parse(m.Server, m.Insecure) // was read before
	c := &mailboxCheck{mailboxSetup: m, server: server, record: dial.NewRecord(m.Password, m.OAuth2.ClientSecret, m.OAuth2.RefreshToken), failed: map[string]error{}}
	a, err := m.open(sourceEnv{f.tokens, true, slog.New(warnings{c.record})})
	if err != nil {
		t.add("config", stepFailed, c.record.Clean(m.Section.Error("", err).Error()), "", 0)
		t.failed(exitConfig)
		t.skip(c.plan(nil)...)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(f.timeout, func() { cancel(dial.StepTimeout(server, c.record.Current(), f.timeout)) })
	defer timer.Stop()
	c.record.OnStep(func() { timer.Reset(f.timeout) })
	boxes := c.visit(dial.WithRecord(ctx, c.record), a)
	c.report(t, boxes, f.transcript)
}

// visit is the session; what it meets is in the record and in failed. It gives the
// folders that were looked at, or to be looked at.
func (c *mailboxCheck) visit(ctx context.Context, a account) (boxes []string) {
	boxes = a.boxes
	s, err := a.source.Open(ctx)
	if err != nil {
		c.failed[c.record.Current()] = err
		return boxes
	}
	defer s.Close()
	c.capabilities(a)
	if f, ok := s.(fetcher.Finder); ok {
		if boxes, err = c.find(ctx, f, a.boxes); err != nil {
			return boxes
		}
	}
	for _, box := range boxes {
		c.record.Begin(folderStep(box))
		l, err := s.List(ctx, box, "")
		if err != nil {
			c.failed[c.record.Current()] = err
			if fetcher.CauseOf(err) != fetcher.Temporary {
				return boxes
			}
			continue
		}
		c.record.Said("%s", held(l))
	}
	c.destinations(ctx, s, boxes)
	c.record.Begin(stepSignOut)
	c.record.Said("nothing was taken or changed")
	return boxes
}

// stepFolders is what names of folders stand for, where that is to be found out.
const stepFolders = "folders"

// find tells which folders names stand for. The error is in failed already; with
// some of the folders it is nil.
func (c *mailboxCheck) find(ctx context.Context, f fetcher.Finder, names []string) ([]string, error) {
	boxes, err := f.Boxes(ctx, names)
	if err == nil && slices.Equal(boxes, names) {
		return boxes, nil
	}
	c.record.Begin(stepFolders)
	switch {
	case err != nil:
		c.failed[stepFolders] = err
	case len(boxes) == 0:
		err = &fetcher.Error{Op: "finding the folders", Err: imap.ErrNoFolder, Hint: "the patterns under folders match none"}
		c.failed[stepFolders] = err
	default:
		c.record.Said("%s", c.record.Clean(count(len(boxes), "folder", "folders")+": "+strings.Join(boxes, ", ")))
		return boxes, nil
	}
	if len(boxes) > 0 {
		return boxes, nil
	}
	return names, err
}

// stepSignOut is the end of a session in which all folders were looked at.
const stepSignOut = "sign-out"

// held says what a folder holds.
func held(l fetcher.Listing) string {
	said := count(len(l.Refs), "mail", "mails")
	excluded, octets := 0, int64(0)
	for _, r := range l.Refs {
		octets += max(r.Size, 0)
		if r.Excluded {
			excluded++
		}
	}
	if octets > 0 {
		said += fmt.Sprintf(" of %d octets in all", octets)
	}
	if excluded > 0 {
		said += fmt.Sprintf("; search leaves out %d of them", excluded)
	}
	return said
}

// destinations looks for the folders that settled mail is moved to. One that is
// missing is made when it is needed.
func (c *mailboxCheck) destinations(ctx context.Context, s fetcher.Session, seen []string) {
	for _, to := range c.moves() {
		if slices.Contains(seen, to) {
			continue
		}
		c.record.Begin(folderStep(to))
		l, err := s.List(ctx, to, "")
		switch {
		case errors.Is(err, imap.ErrNoFolder):
			c.record.Said("is not there yet, and will be made when a mail is moved to it")
		case err != nil:
			c.failed[c.record.Current()] = err
		default:
			c.record.Said("%s; settled mail is moved here", held(l))
		}
	}
}

// moves are the folders mail is moved to.
func (c *mailboxCheck) moves() []string {
	var to []string
	for _, a := range []struct{ verb, arg string }{{c.After.Verb, c.After.Arg}, {c.Failed.Verb, c.Failed.Arg}} {
		if a.verb == "move" && !slices.Contains(to, a.arg) {
			to = append(to, a.arg)
		}
	}
	return to
}

// capabilities warns of what the configuration wants and the server lacks.
func (c *mailboxCheck) capabilities(a account) {
	offered := c.record.Offered()
	has := func(name string) bool {
		return slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, name) })
	}
	if c.kind.name == "pop3" {
		for _, o := range offered {
			if f := strings.Fields(o); len(f) > 1 && strings.EqualFold(f[0], "EXPIRE") && !strings.EqualFold(f[1], "NEVER") { // RFC 2449 section 6.7
				c.record.Warn("the server deletes mail by itself after %s days (EXPIRE)", c.record.Clean(f[1]))
			}
			if f := strings.Fields(o); len(f) > 1 && strings.EqualFold(f[0], "LOGIN-DELAY") { // RFC 2449 section 6.5
				if seconds, err := strconv.Atoi(f[1]); err == nil && time.Duration(seconds)*time.Second > c.interval() {
					c.record.Warn("the server wants %d seconds between sign-ins (LOGIN-DELAY), and schedule is shorter", seconds)
				}
			}
		}
		return
	}
	removes := c.After.Verb == "delete" || !has("MOVE") && len(c.moves()) > 0
	if removes && !has("UIDPLUS") {
		c.record.Warn(`the server lacks UIDPLUS: settled mails stay in their folder, marked \Deleted`)
	}
	if a.idle && !has("IDLE") {
		c.record.Warn("the server lacks IDLE: it is asked for news instead, which takes longer; idle: false leaves that to the schedule")
	}
}

// interval is the time between the next two polls.
func (c *mailboxCheck) interval() time.Duration {
	s, err := config.ParseSchedule(c.Schedule)
	if err != nil {
		return 0 // was read before
	}
	next := s.Next(time.Now())
	return s.Next(next).Sub(next)
}

// plan are the steps of the mailbox, in order.
func (c *mailboxCheck) plan(boxes []string) []string {
	steps := []string{dial.StepDNS, dial.StepTCP, dial.StepTLS, dial.StepGreeting, dial.StepSignIn, dial.StepCapabilities}
	if c.kind.name == "pop3" { // whose capabilities say how to sign in
		steps[4], steps[5] = steps[5], steps[4]
	}
	switch c.server.Mode {
	case dial.StartTLS:
		steps[2], steps[3] = dial.StepGreeting, dial.StepTLS
	case dial.Plain:
		steps = slices.Delete(steps, 2, 3)
	}
	if c.Section.Has("oauth2") {
		steps = append([]string{dial.StepToken}, steps...)
	}
	if boxes == nil {
		return append(steps, stepFolders)
	}
	for _, box := range append(slices.Clone(boxes), c.moves()...) {
		if name := folderStep(box); !slices.Contains(steps, name) {
			steps = append(steps, name)
		}
	}
	return steps
}

// report turns the record into steps, and tells what was not come to.
func (c *mailboxCheck) report(t *checkTarget, boxes []string, transcript bool) {
	left := c.plan(boxes)
	for _, s := range c.record.Steps() {
		left = slices.DeleteFunc(left, func(name string) bool { return name == s.Name })
		step := t.add(s.Name, stepOK, s.Said, "", s.Took)
		if s.Warning != "" {
			step.Status, step.Warning = stepWarning, s.Warning
		}
		if err := c.failed[s.Name]; err != nil {
			step.Status = stepFailed
			step.Said, step.Fix = c.explain(err)
			t.failed(causeCode(err))
		}
		if transcript {
			step.keep(s)
		}
		if s.Name == dial.StepTCP && step.Status == stepOK && c.server.Mode == dial.Plain {
			t.add(dial.StepTLS, stepWarning, "none, since insecure is true: the password and all mail can be read on the way",
				"leave insecure out if the server offers TLS", 0)
		}
	}
	t.skip(left...)
}

// keep adds the transcript to a step.
func (s *checkStep) keep(from dial.Step) {
	s.Omitted = from.Omitted
	for _, l := range from.Lines {
		s.Transcript = append(s.Transcript, checkLine{At: milliseconds(l.At), From: l.From, Line: l.Text})
	}
}

// explain takes an error apart into cause and fix. What the connection met says
// it all; other errors begin with what was being done. The server's words are
// cleaned of secrets; ours are not, since a mask in a well-known text would tell
// what stood there.
func (c *mailboxCheck) explain(err error) (said, fix string) {
	said = c.record.Clean(err.Error())
	if e, ok := errors.AsType[*fetcher.Error](err); ok {
		said, fix = e.Op, e.Hint
		if e.Err != nil {
			said += ": " + c.record.Clean(e.Err.Error())
		}
	}
	met, ok := errors.AsType[*dial.Error](err)
	if ok {
		said, fix = c.record.Clean(met.Error()), cmp.Or(fix, met.Hint)
	}
	if ok || errors.Is(err, imap.ErrNoFolder) { // names of the certificate, or of folders
		fix = c.record.Clean(fix)
	}
	return said, cmp.Or(fix, "the server is tried again; if this lasts, ask its operator")
}

// warnings is a log of which warnings go into the record's step under way.
type warnings struct{ record *dial.Record }

// Enabled implements slog.Handler.
func (w warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	if text == notEncrypted {
		return nil // is a step of its own
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "server" && a.Key != "mailbox" {
			text += fmt.Sprintf(", %s %s", a.Key, w.record.Clean(a.Value.String()))
		}
		return true
	})
	w.record.Warn("%s", text)
	return nil
}

// WithAttrs implements slog.Handler.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w warnings) WithGroup(string) slog.Handler { return w }

// notEncrypted is what sources log of a connection in plain text.
const notEncrypted = "connection is not encrypted"
