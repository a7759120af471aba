package imap

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/clock"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/imapd"
)

// listed are the UIDs of a listing; those a filter leaves out are in brackets.
func listed(l fetcher.Listing) string {
	var out []string
	for _, r := range l.Refs {
		if r.Excluded {
			out = append(out, "("+r.UID+")")
		} else {
			out = append(out, r.UID)
		}
	}
	return strings.Join(out, " ")
}

func TestList(t *testing.T) {
	for _, test := range []struct {
		fact     string
		caps     string
		script   imapd.Script
		search   Search
		want     string
		complete bool
	}{
		{"by ESEARCH", "", nil, Search{}, "7/1 7/2 7/3", true},
		{"by SEARCH", "IMAP4rev1", nil, Search{}, "7/1 7/2 7/3", true},
		{"in any order", "IMAP4rev1", imapd.Script{"UID SEARCH": imapd.Say("* SEARCH 3 1 2 2\r\n$ OK\r\n")}, Search{}, "7/1 7/2 7/3", true},
		{"in two answers", "IMAP4rev1", imapd.Script{"UID SEARCH": imapd.Say("* SEARCH 3 1\r\n* SEARCH 2\r\n$ OK\r\n")}, Search{}, "7/1 7/2 7/3", true},
		{"UIDVALIDITY 0 is a number like others", "", imapd.Script{"SELECT": imapd.Before("* OK [uidvalidity 0] zero\r\n")}, Search{}, "7/1 7/2 7/3", true},
		{"a mail left out once is asked for again", "", imapd.Script{"UID SEARCH": imapd.First(imapd.Say("* ESEARCH (TAG \"%T\") UID ALL 1,3\r\n$ OK\r\n"))}, Search{}, "7/1 7/2 7/3", true},
		{"a mail left out makes the listing incomplete", "", imapd.Script{"UID SEARCH": imapd.Say("* ESEARCH (TAG \"%T\") UID ALL 1,3\r\n$ OK\r\n")}, Search{}, "7/1 7/3", false},
		{"nothing listed of three is incomplete", "", imapd.Script{"UID SEARCH": imapd.Say("$ OK\r\n")}, Search{}, "", false},
		{"the filter marks and does not hide", "", nil, Search{Unseen: true}, "7/1 (7/2) 7/3", true},
		{"mail that is too old is marked", "", imapd.Script{"UID SEARCH BEFORE 21-Nov-2026": imapd.Say("$ BAD zone\r\n"), `UID SEARCH RETURN (ALL) BEFORE "21-Nov-2026"`: imapd.Say("* ESEARCH (TAG \"%T\") UID ALL 1\r\n$ OK\r\n")}, Search{Since: 48 * time.Hour}, "(7/1) 7/2 7/3", true},
		{"both filters", "", imapd.Script{`UID SEARCH RETURN (ALL) OR (SEEN) (BEFORE "21-Nov-2026")`: imapd.Say("* ESEARCH (TAG \"%T\") UID ALL 1:2\r\n$ OK\r\n")}, Search{Since: 48 * time.Hour, Unseen: true}, "(7/1) (7/2) 7/3", true},
	} {
		t.Run(test.fact, func(t *testing.T) {
			s := imapd.Start(t, imapd.Options{Caps: test.caps, Script: test.script}, three...)
			s.Mark("INBOX", 2, `\Seen`)
			x := open(t, client(t, s, dial.Plain, func(o *Options) {
				o.Search = test.search
				o.Clock = clock.NewFake(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
			}))
			l, err := x.List(t.Context(), "INBOX", "")
			if err != nil {
				t.Fatal(err)
			}
			if got := listed(l); got != test.want || l.Complete != test.complete {
				t.Errorf("List = %q, complete %v, want %q, %v", got, l.Complete, test.want, test.complete)
			}
		})
	}
}

func TestUIDVALIDITYZeroIsKept(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	s.Renumber("INBOX", 0)
	x := open(t, client(t, s, dial.Plain, nil))
	if l, err := x.List(t.Context(), "INBOX", ""); err != nil || listed(l) != "0/1 0/2 0/3" {
		t.Errorf("List = %q, %v", listed(l), err)
	}
}

func TestAListingAsksForNoMailsOneByOne(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, nil))
	l, err := x.List(t.Context(), "INBOX", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Commands() {
		if strings.HasPrefix(c, "UID FETCH") {
			t.Errorf("%q was sent", c)
		}
	}
	if err := x.(fetcher.Describer).Describe(t.Context(), l.Refs[1:]); err != nil {
		t.Fatal(err)
	}
	if l.Refs[0].Size != -1 || !l.Refs[0].ReceivedAt.IsZero() {
		t.Errorf("the first mail was described: %+v", l.Refs[0])
	}
	r := l.Refs[1]
	if want := time.Date(2026, 11, 24, 8, 2, 0, 0, time.UTC); r.Size != int64(len(three[1])) || !r.ReceivedAt.Equal(want) || r.Flags == nil {
		t.Errorf("the second mail is %+v, want size %d and time %v", r, len(three[1]), want)
	}
}

func TestReadOnlyOpensByEXAMINE(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, three...)
	x := open(t, client(t, s, dial.Plain, func(o *Options) { o.ReadOnly = true }))
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
	if c := s.Commands(); slices.ContainsFunc(c, func(s string) bool { return strings.HasPrefix(s, "SELECT") }) || !slices.Contains(c, "EXAMINE INBOX") {
		t.Errorf("commands %q", c)
	}
}

func TestAMissingFolderNamesTheNearest(t *testing.T) {
	for _, test := range []struct {
		wanted string
		boxes  []string
		says   string
	}{
		{"Supprot", []string{"Support", "Sent"}, `"Support"`},
		{"support", []string{"Support", "Sent"}, `"Support"`},
		{"Processed", []string{"INBOX.Processed", "Sent"}, `"INBOX.Processed"`},
		{"Zzzzzzzzz", []string{"Support", "Sent"}, "INBOX, Sent, Support"},
		{"Entwürfe", []string{"Entw&APw-rf"}, `"Entwürf"`},
	} {
		s := imapd.Start(t, imapd.Options{Boxes: test.boxes})
		x := open(t, client(t, s, dial.Plain, nil))
		_, err := x.List(t.Context(), test.wanted, "")
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "no such folder") {
			t.Errorf("List(%s) = %v, want %s in it", test.wanted, err, test.says)
		}
		if _, err := x.List(t.Context(), "INBOX", ""); err != nil {
			t.Errorf("the session is of no use after %s: %v", test.wanted, err)
		}
	}
}

func TestNamesOfFoldersAreSentInModifiedUTF7(t *testing.T) {
	// RFC 3501 section 5.1.3 gives this name and its form.
	s := imapd.Start(t, imapd.Options{Boxes: []string{"~peter/mail/&U,BTFw-/&ZeVnLIqe-"}})
	x := open(t, client(t, s, dial.Plain, nil))
	if _, err := x.List(t.Context(), "~peter/mail/台北/日本語", ""); err != nil {
		t.Error(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{}, {Username: "a\r\nX LOGOUT"}, {Username: "a", Search: Search{Since: -1}}, {Username: "a", BatchMails: -1}, {Username: "a", MaxOctets: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) has no error", o)
		}
	}
}

func TestAMailTooLargeIsLeftAndReported(t *testing.T) {
	s := imapd.Start(t, imapd.Options{}, []byte("A: 1\r\n\r\n"+strings.Repeat("x", 100)), three[1])
	whole, err := visit(t.Context(), client(t, s, dial.Plain, func(o *Options) { o.MaxOctets = 50 }))
	if err == nil || fetcher.RadiusOf(err) != fetcher.MessageRadius || !strings.Contains(err.Error(), "7/1: the mail has 108 octets") || len(whole) != 1 {
		t.Errorf("%d mails, error %v", len(whole), err)
	}
	for _, c := range s.Commands() {
		if imapd.Keyword(c) == "UID FETCH BODY" && c != "UID FETCH 2 (UID BODY.PEEK[])" {
			t.Errorf("%q was sent", c)
		}
	}
}

func TestAMailOfAnotherSizeThanAnnouncedIsTakenWhenItComesTwice(t *testing.T) {
	const all, alone = "UID FETCH BODY", "UID FETCH 1 (UID BODY.PEEK[])"
	body := func(b string) imapd.Reply { return imapd.Say("* 1 FETCH (UID 1 BODY[] {2}\r\n" + b + ")\r\n$ OK\r\n") }
	for _, test := range []struct {
		fact   string
		script imapd.Script
		says   string
	}{
		{"the same twice", imapd.Script{all: body("ab")}, ""},
		{"each time another", imapd.Script{alone: imapd.First(body("ab")), all: body("cd")}, "7/1: the server sends other octets each time"},
	} {
		s := imapd.Start(t, imapd.Options{Script: test.script}, two[0])
		x := open(t, client(t, s, dial.Plain, nil))
		l, err := x.List(t.Context(), "INBOX", "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = x.Retrieve(t.Context(), l.Refs, func(ref fetcher.Ref, r io.Reader) error {
			raw, err := io.ReadAll(r)
			if err == nil {
				got = append(got, string(raw))
			}
			return err
		})
		if test.says == "" && (err != nil || !slices.Equal(got, []string{"ab"})) {
			t.Errorf("%s: %q, %v", test.fact, got, err)
		}
		if test.says != "" && (err == nil || fetcher.RadiusOf(err) != fetcher.MessageRadius || !strings.Contains(err.Error(), test.says) || got != nil) {
			t.Errorf("%s: %q, %v", test.fact, got, err)
		}
		if _, err := x.List(t.Context(), "INBOX", ""); err != nil {
			t.Errorf("%s: the session is of no use: %v", test.fact, err)
		}
	}
}
