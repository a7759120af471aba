package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
	"github.com/postferry/postferry/spool"
)

// witness is a connection that notes who wrote each command.
type witness struct {
	connection
	mu    sync.Mutex
	wrote map[string]bool // keyword → by imapclient
}

func (w *witness) Write(p []byte) (int, error) {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	library := false
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		library = library || strings.HasPrefix(f.Function, "github.com/emersion/go-imap/v2/imapclient.")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		if _, command, tagged := strings.Cut(strings.TrimSpace(line), " "); tagged {
			line = command
		}
		w.wrote[imapd.Keyword(strings.TrimSpace(line))] = library
	}
	return w.connection.Write(p)
}

func (w *witness) Upgrade(ctx context.Context, c *tls.Config, b ...byte) error {
	return w.connection.Upgrade(ctx, c, b...)
}

// tour does everything a session can do.
func tour(t *testing.T, source *Source, s *imapd.Server) {
	t.Helper()
	x := open(t, source)
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil {
		t.Fatal(err)
	}
	err = x.Retrieve(t.Context(), l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(due(spool.Action{Verb: spool.Seen}, "7/1"), due(spool.Action{Verb: spool.Flag, Arg: "$Ferried"}, "7/1"),
		due(spool.Action{Verb: spool.Move, Arg: "Done"}, "7/1"), due(spool.Action{Verb: spool.Delete}, "7/2"))
	if err := x.Settle(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := watching(t, ctx, s, x)
	cancel()
	<-ended
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

// inOrder sorts the items of a FETCH, which imapclient puts in any order.
func inOrder(commands []string) []string {
	out := slices.Clone(commands)
	for i, c := range out {
		if imapd.Keyword(c) == "UID FETCH" {
			set, items, _ := strings.Cut(c, "(")
			words := strings.Fields(strings.Trim(items, "()"))
			slices.Sort(words)
			out[i] = set + "(" + strings.Join(words, " ") + ")"
		}
	}
	return out
}

func TestTheWholeSessionOnTheWire(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	source := client(t, s, dial.Plain, nil)
	w := &witness{wrote: map[string]bool{}}
	connect := source.connect
	source.connect = func(ctx context.Context) (connection, error) {
		c, err := connect(ctx)
		w.connection = c
		return w, err
	}
	tour(t, source, s)
	want := []string{
		"CAPABILITY",
		"AUTHENTICATE PLAIN AGFkYQBodW50ZXIyLWNhbmFyeQ==",
		"CAPABILITY",
		`ID ("name" "postferry")`,
		"SELECT INBOX",
		"UID SEARCH RETURN (ALL) ALL",
		"UID FETCH 1:3 (FLAGS INTERNALDATE RFC822.SIZE UID)",
		"UID FETCH 1:3 (UID BODY.PEEK[])",
		`UID STORE 1 +FLAGS.SILENT (\Seen)`,
		"UID STORE 1 +FLAGS.SILENT ($Ferried)",
		`UID MOVE 1 "Done"`,
		`CREATE "Done"`,
		`UID MOVE 1 "Done"`,
		`UID STORE 2 +FLAGS.SILENT (\Deleted)`,
		"UID EXPUNGE 2",
		"IDLE",
		"DONE",
		"LOGOUT",
	}
	// CAPABILITY is also asked by imapclient itself after a sign-in, at a moment of
	// its own.
	if got := slices.Compact(inOrder(s.Commands())); !slices.Equal(got, want) {
		t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, c := range want {
		// IDLE is the guard's own.
		if k := imapd.Keyword(c); k != "IDLE" && k != "DONE" && !w.wrote[k] {
			t.Errorf("%s was not written by imapclient", k)
		}
	}
	onlySafeCommands(t, s)
}

func TestWithoutExtensionsTheSessionIsAsSafe(t *testing.T) {
	s := imapd.Start(t, imapd.Options{Caps: "IMAP4rev1 IDLE"}, three...)
	tour(t, client(t, s, dial.Plain, nil), s)
	onlySafeCommands(t, s)
	for _, c := range s.Commands() {
		switch imapd.Keyword(c) {
		case "UID EXPUNGE", "UID MOVE", "ID", "AUTHENTICATE":
			t.Errorf("%q was sent to a server that does not offer it", c)
		}
	}
}

func TestBatchesAreUnderWayTwoAtATime(t *testing.T) {
	var mails [][]byte
	for range 10 {
		mails = append(mails, two[0])
	}
	s := imapd.Start(t, imapd.Options{}, mails...)
	x := open(t, client(t, s, dial.Plain, func(o *Options) { o.BatchMails = 3 }))
	l, _ := x.List(t.Context(), "INBOX", "")
	asked := 0
	err := x.Retrieve(t.Context(), l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		if asked == 0 {
			count := func() (n int) {
				for _, c := range s.Commands() {
					if imapd.Keyword(c) == "UID FETCH BODY" {
						n++
					}
				}
				return n
			}
			until(t, "a second command while the first mail is read", func() bool { return count() == 2 })
		}
		asked++
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil || asked != 10 {
		t.Errorf("%d mails, %v", asked, err)
	}
}

func TestAFailingTakeOutlastsTwoBatches(t *testing.T) {
	large := append([]byte("A: 1\r\n\r\n"), bytes.Repeat([]byte("x"), 1<<20)...)
	s := imapd.Start(t, imapd.Options{}, large, large, large, large)
	x := open(t, client(t, s, dial.Plain, func(o *Options) { o.BatchMails = 1 }))
	l, _ := x.List(t.Context(), "INBOX", "")
	full := errors.New("full")
	err := x.Retrieve(t.Context(), l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		r.Read(make([]byte, 10))
		return full
	})
	if err != full {
		t.Errorf("Retrieve = %v", err)
	}
}
