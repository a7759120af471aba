// Package sourcetest holds the tests every fetcher.Source must pass. A source's
// own tests call Run with a fixture that stands on a real server:
//
//	sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture { … })
//
// Each fact gets a fixture of its own, with an empty box.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/spool"
)

// patience bounds each test; nothing is decided by it.
const patience = 60 * time.Second

// Fixture is a source on a server with an empty box.
type Fixture struct {
	Source fetcher.Source
	// Refused is a source on the same account with a wrong password.
	Refused fetcher.Source
	Box     string
	// Add puts a mail, with CRLF line ends, into the box.
	Add func(t testing.TB, raw []byte)
	// Stored counts the mails in the box without using the source.
	Stored func(t testing.TB) int
	// Verbs are the actions the source carries out without an argument, of Seen and
	// Delete.
	Verbs []spool.Verb
}

// Run tests the source that start makes.
func Run(t *testing.T, start func(t *testing.T) Fixture) {
	for _, fact := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"an empty box lists nothing and completely", emptyBox},
		{"mails come once each with their exact octets", exactOctets},
		{"a mail keeps its UID in later sessions", stableUIDs},
		{"retrieving changes nothing on the server", readOnly},
		{"heads come with the size and the raw header block", headBlocks},
		{"a failing take stops Retrieve with its error", failingTake},
		{"a mail that is not there is reported and the others come", missingMail},
		{"retrieving nothing takes nothing", nothingAsked},
		{"a settled deletion removes that mail alone", deletion},
		{"a mail already gone counts as settled", alreadyGone},
		{"a kept mail stays", keeping},
		{"seen is settled where it is supported", seeing},
		{"an ended context ends the session", endedContext},
		{"a refused sign-in reaches as far as the account", refusedSignIn},
		{"Close can be called again", closeTwice},
	} {
		t.Run(fact.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			fact.test(t, &bench{Fixture: start(t), ctx: ctx})
		})
	}
}

// bench is a fixture at work.
type bench struct {
	Fixture
	ctx context.Context
}

// Mails are what the suite stores: octets that careless readers change.
func Mails() [][]byte {
	var mails [][]byte
	for _, s := range []string{
		"Subject: plain\r\n\r\nbody\r\n",
		"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
		"Subject: eight bits\r\n\r\n\x80\xff\xfe\xc3\xa4\r\n",
		"Subject: bare CR\r\n\r\na\rb\r\r\n\r\n",
		"Subject: long line\r\n\r\n" + strings.Repeat("x", 20_000) + "\r\n",
		"Subject: looks like replies\r\n\r\n+OK\r\n-ERR\r\n* BYE\r\nA1 OK\r\n)\r\n",
		"Subject: large\r\n\r\n" + strings.Repeat(".line of a large mail\r\n", 40_000),
	} {
		mails = append(mails, []byte(s))
	}
	return mails
}

func (b *bench) open(t *testing.T) fetcher.Session {
	t.Helper()
	s, err := b.Source.Open(b.ctx)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (b *bench) list(t *testing.T, s fetcher.Session) []fetcher.Ref {
	t.Helper()
	l, err := s.List(b.ctx, b.Box, "")
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	if !l.Complete {
		t.Error("the listing is not complete")
	}
	return l.Refs
}

// retrieve gives the octets by UID.
func (b *bench) retrieve(t *testing.T, s fetcher.Session, refs []fetcher.Ref) (map[string][]byte, error) {
	t.Helper()
	got := map[string][]byte{}
	err := s.Retrieve(b.ctx, refs, func(ref fetcher.Ref, r io.Reader) error {
		raw, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if _, twice := got[ref.UID]; twice {
			t.Errorf("take was called twice for %s", ref.UID)
		}
		if ref.Size < 0 {
			t.Errorf("the Ref of %s has no size", ref.UID)
		}
		got[ref.UID] = raw
		return nil
	})
	return got, err
}

func (b *bench) due(ref fetcher.Ref, verb spool.Verb) spool.Settlement {
	return spool.Settlement{BoxKey: spool.BoxKey{Box: b.Box}, UID: ref.UID, Action: spool.Action{Verb: verb}}
}

func (b *bench) addAll(t *testing.T) [][]byte {
	mails := Mails()
	for _, m := range mails {
		b.Add(t, m)
	}
	return mails
}

func uids(refs []fetcher.Ref) []string {
	var out []string
	for _, r := range refs {
		out = append(out, r.UID)
	}
	slices.Sort(out)
	return out
}

func emptyBox(t *testing.T, b *bench) {
	if refs := b.list(t, b.open(t)); len(refs) != 0 {
		t.Errorf("List = %v, want nothing", refs)
	}
}

func exactOctets(t *testing.T, b *bench) {
	mails := b.addAll(t)
	s := b.open(t)
	got, err := b.retrieve(t, s, b.list(t, s))
	if err != nil {
		t.Fatalf("Retrieve: %v", err)
	}
	if len(got) != len(mails) {
		t.Errorf("%d mails came, want %d", len(got), len(mails))
	}
	for _, want := range mails {
		if !slices.ContainsFunc(slices.Collect(valuesOf(got)), func(g []byte) bool { return bytes.Equal(g, want) }) {
			t.Errorf("no mail came with exactly the octets %.60q", want)
		}
	}
}

func valuesOf(m map[string][]byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func stableUIDs(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	first := uids(b.list(t, s))
	s.Close()
	if second := uids(b.list(t, b.open(t))); !slices.Equal(first, second) {
		t.Errorf("UIDs were %v, then %v", first, second)
	}
	if len(slices.Compact(first)) != len(Mails()) {
		t.Errorf("UIDs are not unique: %v", first)
	}
}

func readOnly(t *testing.T, b *bench) {
	mails := b.addAll(t)
	s := b.open(t)
	refs := b.list(t, s)
	if _, err := b.retrieve(t, s, refs); err != nil {
		t.Fatalf("Retrieve: %v", err)
	}
	s.Close()
	if n := b.Stored(t); n != len(mails) {
		t.Errorf("%d mails are stored, want %d", n, len(mails))
	}
	s = b.open(t)
	for _, r := range b.list(t, s) {
		if slices.ContainsFunc(r.Flags, func(f string) bool { return strings.EqualFold(f, `\Seen`) }) {
			t.Errorf("retrieving set the flags %v", r.Flags)
		}
	}
}

func headBlocks(t *testing.T, b *bench) {
	mails := Mails()
	for _, raw := range mails {
		b.Add(t, raw)
	}
	s := b.open(t)
	h, ok := s.(fetcher.Header)
	if !ok {
		t.Fatal("the session reads no heads")
	}
	refs := append(b.list(t, s), fetcher.Ref{Box: b.Box, UID: "1/999999"})
	got := map[int64]string{}
	err := h.Heads(b.ctx, refs, func(r fetcher.Ref, head []byte) { got[spool.HeadSum(r.Size, head)] = r.UID })
	if err != nil {
		t.Fatalf("Heads: %v", err)
	}
	s.Close()
	octets, err := b.retrieve(t, b.open(t), refs[:len(refs)-1])
	if err != nil {
		t.Fatal(err)
	}
	for uid, raw := range octets {
		if of := got[spool.HeadSum(int64(len(raw)), raw)]; of != uid {
			t.Errorf("the head of mail %s is that of mail %q", uid, of)
		}
	}
	if len(octets) != len(mails) || len(got) != len(mails) {
		t.Errorf("%d mails and %d heads of %d", len(octets), len(got), len(mails))
	}
}

func failingTake(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	full := errors.New("the disk is full")
	calls := 0
	err := s.Retrieve(b.ctx, b.list(t, s), func(_ fetcher.Ref, r io.Reader) error {
		calls++
		return full
	})
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("Retrieve = %v after %d calls of take, want %v after 1", err, calls, full)
	}
	s.Close()
	if n := b.Stored(t); n != len(Mails()) {
		t.Errorf("%d mails are stored, want %d", n, len(Mails()))
	}
}

func missingMail(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	refs := b.list(t, s)
	gone := refs[0]
	if err := s.Settle(b.ctx, []spool.Settlement{b.due(gone, spool.Delete)}); err != nil {
		t.Fatalf("Settle: %v", err)
	}
	s.Close()
	s = b.open(t)
	b.list(t, s)
	got, err := b.retrieve(t, s, refs)
	if err == nil || fetcher.RadiusOf(err) != fetcher.MessageRadius {
		t.Errorf("Retrieve = %v, want an error of radius Message", err)
	}
	if len(got) != len(refs)-1 {
		t.Errorf("%d mails came, want %d", len(got), len(refs)-1)
	}
}

func nothingAsked(t *testing.T, b *bench) {
	s := b.open(t)
	b.list(t, s)
	if got, err := b.retrieve(t, s, nil); err != nil || len(got) != 0 {
		t.Errorf("Retrieve = %v, %v", got, err)
	}
}

func deletion(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	refs := b.list(t, s)
	if err := s.Settle(b.ctx, []spool.Settlement{b.due(refs[1], spool.Delete)}); err != nil {
		t.Fatalf("Settle: %v", err)
	}
	if n := b.Stored(t); n != len(refs)-1 {
		t.Errorf("%d mails are stored after Settle and before Close, want %d", n, len(refs)-1)
	}
	s.Close()
	want := slices.DeleteFunc(uids(refs), func(u string) bool { return u == refs[1].UID })
	if got := uids(b.list(t, b.open(t))); !slices.Equal(got, want) {
		t.Errorf("the box lists %v, want %v", got, want)
	}
	if n := b.Stored(t); n != len(want) {
		t.Errorf("%d mails are stored, want %d", n, len(want))
	}
}

func alreadyGone(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	due := []spool.Settlement{b.due(b.list(t, s)[0], spool.Delete)}
	for range 2 {
		if err := s.Settle(b.ctx, due); err != nil {
			t.Fatalf("Settle: %v", err)
		}
		s.Close()
		s = b.open(t)
	}
	if n := b.Stored(t); n != len(Mails())-1 {
		t.Errorf("%d mails are stored, want %d", n, len(Mails())-1)
	}
}

func keeping(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	if err := s.Settle(b.ctx, []spool.Settlement{b.due(b.list(t, s)[0], spool.Keep)}); err != nil {
		t.Fatalf("Settle: %v", err)
	}
	s.Close()
	if n := b.Stored(t); n != len(Mails()) {
		t.Errorf("%d mails are stored, want %d", n, len(Mails()))
	}
}

func seeing(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	err := s.Settle(b.ctx, []spool.Settlement{b.due(b.list(t, s)[0], spool.Seen)})
	if supported := slices.Contains(b.Verbs, spool.Seen); supported != (err == nil) {
		t.Errorf("Settle = %v; supported: %v", err, supported)
	}
	s.Close()
	if n := b.Stored(t); n != len(Mails()) {
		t.Errorf("%d mails are stored, want %d", n, len(Mails()))
	}
}

func endedContext(t *testing.T, b *bench) {
	b.addAll(t)
	s := b.open(t)
	refs := b.list(t, s)
	ctx, cancel := context.WithCancel(b.ctx)
	err := s.Retrieve(ctx, refs, func(_ fetcher.Ref, r io.Reader) error {
		cancel()
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Retrieve = %v, want %v", err, context.Canceled)
	}
	if _, err := s.List(b.ctx, b.Box, ""); err == nil {
		t.Error("the session went on")
	}
	s.Close()
	if _, err := b.Source.Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context = %v", err)
	}
}

func refusedSignIn(t *testing.T, b *bench) {
	s, err := b.Refused.Open(b.ctx)
	if err == nil {
		s.Close()
		t.Fatal("a wrong password signed in")
	}
	if fetcher.RadiusOf(err) != fetcher.AccountRadius || fetcher.CauseOf(err) != fetcher.Refused {
		t.Errorf("radius %v, cause %v of %v", fetcher.RadiusOf(err), fetcher.CauseOf(err), err)
	}
	if e, ok := errors.AsType[*fetcher.Error](err); !ok || e.Hint == "" {
		t.Errorf("%v has no hint", err)
	}
}

func closeTwice(t *testing.T, b *bench) {
	s := b.open(t)
	s.Close()
	if err := s.Close(); err != nil {
		t.Errorf("the second Close = %v", err)
	}
	if _, err := s.List(b.ctx, b.Box, ""); err == nil {
		t.Error("a closed session lists")
	}
}
