package fetcher

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
)

func TestAPatternTakesFromFoldersMadeLater(t *testing.T) {
	s := &server{lasting: true, named: map[string][]string{"Lists/*": {"Lists/go"}}}
	s.add("Lists/go", mail("a"))
	m := mailbox(s)
	m.Boxes = []string{"Lists/*"}
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	wantReport(t, h.once(), "listed 1 fresh 1 taken 1")
	s.named["Lists/*"] = []string{"Lists/go", "Lists/rust"}
	s.add("Lists/rust", mail("b"))
	wantReport(t, h.once(), "listed 2 fresh 1 taken 1")
}

func TestAFolderThatIsNotFoundDoesNotKeepTheOthersFromBeingRead(t *testing.T) {
	gone := Errorf(Temporary, "finding Junk", "", "none is marked so")
	s := &server{lasting: true, named: map[string][]string{"*": {"INBOX"}}, unnamed: gone}
	s.add("INBOX", mail("a"))
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.mailboxes[0].Boxes = []string{"*"}
	r := h.Once(t.Context())[0]
	if !errors.Is(r.Err, gone) || r.Taken != 1 {
		t.Errorf("taken %d, %v", r.Taken, r.Err)
	}
}

func TestAPatternThatMatchesNothingIsSaid(t *testing.T) {
	s := &server{lasting: true, named: map[string][]string{"Lists/*": nil}}
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.mailboxes[0].Boxes = []string{"Lists/*"}
	if r := h.Once(t.Context())[0]; r.Err == nil || RadiusOf(r.Err) != SessionRadius {
		t.Errorf("error %v", r.Err)
	}
}

func TestTheFirstFolderOfAPatternIsWatched(t *testing.T) {
	s, m := watched()
	s.named = map[string][]string{"*": {"Archive", "INBOX"}}
	m.Boxes = []string{"*"}
	run(t, func(t *testing.T, h *house) {
		synctest.Wait()
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if w := s.look().watched; len(w) != 2 || slices.ContainsFunc(w, func(b string) bool { return b != "Archive" }) {
			t.Errorf("watched %q", w)
		}
	}, m)
}

func TestAMailInSeveralFoldersOfOneAccountIsTakenOnce(t *testing.T) {
	s := &server{lasting: true}
	s.add("INBOX", mailAs("1", "m1"), mailAs("2", "m2"), mail("3"))
	s.add("Label", mailAs("7", "m2"), mailAs("8", "m3"), mail("9"))
	m := mailbox(s)
	m.Boxes = []string{"INBOX", "Label"}
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	wantReport(t, h.once(), "listed 6 fresh 6 taken 5 elsewhere 1")
	wantReport(t, h.once(), "listed 6")
	s.add("INBOX", mailAs("4", "m3"), mailAs("5", "m4"))
	wantReport(t, h.once(), "listed 8 fresh 2 taken 1 elsewhere 1")
	if got := s.look().got; got != 6 {
		t.Errorf("%d mails were retrieved", got)
	}
}

// What could not be taken from one folder may be taken from another.
func TestAMailThatCouldNotBeHadIsTakenFromAnotherFolder(t *testing.T) {
	s := &server{lasting: true, poison: map[string]error{"1": &Error{Radius: MessageRadius, UID: "1", Err: errors.New("empty")}}}
	s.add("INBOX", mailAs("1", "m1"))
	s.add("Label", mailAs("7", "m1"))
	m := mailbox(s)
	m.Boxes = []string{"INBOX", "Label"}
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	wantReport(t, h.once(), "listed 2 fresh 2 taken 1 failed 1")
	delete(s.poison, "1")
	wantReport(t, h.once(), "listed 2 fresh 1 elsewhere 1")
}

func TestWhatIsInOneFolderAloneIsNotIdentified(t *testing.T) {
	s := &server{lasting: true}
	s.add("INBOX", mailAs("1", "m1"))
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	wantReport(t, h.once(), "listed 1 fresh 1 taken 1")
	if s.identified != 0 {
		t.Errorf("%d mails were identified", s.identified)
	}
}
