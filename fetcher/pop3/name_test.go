package pop3

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest/pop3d"
	"github.com/postferry/postferry/spool"
)

// list is the listing of a session of its own.
func list(t *testing.T, s *Source, c fetcher.Cursor) fetcher.Listing {
	t.Helper()
	x, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	l, err := x.List(t.Context(), "INBOX", c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func uidsOf(l fetcher.Listing) (all []string) {
	for _, r := range l.Refs {
		all = append(all, r.UID)
	}
	return all
}

// settle deletes mails in a session of its own, in which nothing was listed.
func settle(t *testing.T, s *Source, uids ...string) error {
	t.Helper()
	x, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var due []spool.Settlement
	for _, uid := range uids {
		due = append(due, spool.Settlement{UID: uid, Action: spool.Action{Verb: spool.Delete}})
	}
	return x.Settle(t.Context(), due)
}

var three = [][]byte{
	[]byte("Subject: 1\r\nMessage-ID: <1@x>\r\n\r\none\r\n"),
	[]byte("Subject: 2\r\nMessage-ID: <2@x>\r\n\r\ntwo\r\n"),
	[]byte("Subject: 3\r\nMessage-ID: <3@x>\r\n\r\nthree\r\n"),
}

func TestUniqueIDsThatRFC1939DoesNotAllowAreHashed(t *testing.T) {
	form := regexp.MustCompile(`^~u[0-9A-Za-z_-]{43}$`)
	for _, c := range []struct{ fact, uid string }{
		{"71 characters", strings.Repeat("x", 71)},
		{"500 characters", strings.Repeat("x", 500)},
		{"eight bits", "grün"},
		{"a space", "a b"},
		{"a control octet", "a\x01b"},
		{"one that looks like a hash", "~uAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			s := pop3d.StartWith(t, pop3d.Options{UID: func(i int, _ []byte) string { return fmt.Sprint(i, c.uid)[1:] + strings.Repeat("y", i-1) }}, three...)
			source := client(t, s, dial.Plain, nil)
			uids := uidsOf(list(t, source, ""))
			if len(uids) != 3 || !slices.Equal(uids, uidsOf(list(t, source, ""))) || slices.ContainsFunc(uids, func(u string) bool { return !form.MatchString(u) }) {
				t.Fatalf("UIDs %q", uids)
			}
			if err := settle(t, source, uids[1]); err != nil || s.Holds(2) || s.Stored() != 2 {
				t.Errorf("after the second is settled %d are left, %v", s.Stored(), err)
			}
		})
	}
	if got := uidOf(strings.Repeat("x", 70)); got != strings.Repeat("x", 70) {
		t.Errorf("70 characters become %q", got)
	}
}

func TestMailsThatShareAUniqueIDAreToldApartByTheirHeaders(t *testing.T) {
	shared := func(i int, _ []byte) string { return []string{"a", "a", "b", "a"}[i-1] }
	var log bytes.Buffer
	s := pop3d.StartWith(t, pop3d.Options{UID: shared}, three...)
	source := client(t, s, dial.Plain, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	first := list(t, source, "")
	uids := uidsOf(first)
	if slices.Sort(uids); len(slices.Compact(uids)) != 3 || first.Cursor != byHeaders {
		t.Fatalf("UIDs %q, cursor %q", uidsOf(first), first.Cursor)
	}
	if n := strings.Count(log.String(), "share unique-ids"); n != 1 {
		t.Errorf("said %d times: %s", n, &log)
	}
	uids = uidsOf(first)
	if err := settle(t, source, uids[0]); err != nil || s.Holds(1) || s.Stored() != 2 {
		t.Fatalf("after the first is settled %d are left, %v", s.Stored(), err)
	}
	if got := uidsOf(list(t, source, first.Cursor)); !slices.Equal(got, uids[1:]) {
		t.Errorf("once nothing is shared any more the UIDs are %q, want %q", got, uids[1:])
	}
	s.Add([]byte("Subject: 4\r\n\r\nfour\r\n"))
	if got := uidsOf(list(t, source, first.Cursor)); len(got) != 3 || !slices.Equal(got[:2], uids[1:]) {
		t.Errorf("with a new mail the UIDs are %q, want %q first", got, uids[1:])
	}
	if err := settle(t, source, "b"); err != nil || s.Holds(3) || s.Stored() != 2 {
		t.Errorf("by the name from before %d are left, %v", s.Stored(), err)
	}
}

func TestAServerWithoutUIDLIsTakenFromByTOP(t *testing.T) {
	for _, capa := range [][]string{nil, {}, {"TOP"}} {
		t.Run(fmt.Sprint(capa), func(t *testing.T) {
			s := pop3d.StartWith(t, pop3d.Options{NoUIDL: true, Capa: capa}, append(three, three[0], three[0])...)
			source := client(t, s, dial.Plain, nil)
			l := list(t, source, "")
			uids := uidsOf(l)
			if len(uids) != 5 || uids[3] != uids[0]+".2" || uids[4] != uids[0]+".3" || !slices.Equal(uids, uidsOf(list(t, source, l.Cursor))) {
				t.Fatalf("UIDs %q", uids)
			}
			if err := settle(t, source, uids[1], uids[2]); err != nil || s.Holds(2) || s.Holds(3) || s.Stored() != 3 {
				t.Errorf("after two are settled %d are left, %v", s.Stored(), err)
			}
			if whole, err := visit(t.Context(), source); err != nil || len(whole) != 3 || s.Stored() != 0 {
				t.Errorf("%d mails came, %d are left, %v", len(whole), s.Stored(), err)
			}
		})
	}
}

func TestAServerWithNeitherUIDLNorTOPIsRefused(t *testing.T) {
	s := pop3d.StartWith(t, pop3d.Options{NoUIDL: true, NoTOP: true}, three...)
	_, err := visit(t.Context(), client(t, s, dial.Plain, nil))
	if fetcher.RadiusOf(err) != fetcher.AccountRadius || !strings.Contains(err.Error(), "use IMAP") {
		t.Errorf("error %v", err)
	}
}

// A server that loses its unique-ids for once must not have all its mails named
// anew.
func TestAServerThatGaveUniqueIDsIsHeldToThem(t *testing.T) {
	s := pop3d.StartWith(t, pop3d.Options{Capa: []string{}, Script: pop3d.Script{}}, three...)
	source := client(t, s, dial.Plain, nil)
	list(t, source, "")
	s.Script("UIDL", pop3d.Say("-ERR cannot do that now\r\n"))
	_, err := visit(t.Context(), source)
	if fetcher.RadiusOf(err) != fetcher.SessionRadius || !strings.Contains(err.Error(), "cannot do that now") || s.Stored() != 3 {
		t.Errorf("error %v, %d are left", err, s.Stored())
	}
}

func TestNamesByHeadersIgnoreWhatServersChange(t *testing.T) {
	name := func(mail string) string {
		s := pop3d.StartWith(t, pop3d.Options{NoUIDL: true}, []byte(mail))
		return list(t, client(t, s, dial.Plain, nil), "").Refs[0].UID
	}
	plain := name("Subject: x\r\nReceived: by y\r\n\r\nbody\r\n")
	for _, c := range []struct {
		fact, mail string
		same       bool
	}{
		{"a status of the same length as what is missing", "Subject: x\r\nStatus: RO\r\nReceived: by y\r\n\r\n", false}, // another size
		{"another body of the same size", "Subject: x\r\nReceived: by y\r\n\r\nBODY\r\n", true},
		{"another header", "Subject: y\r\nReceived: by y\r\n\r\nbody\r\n", false},
	} {
		if got := name(c.mail) == plain; got != c.same {
			t.Errorf("%s: named alike %v, want %v", c.fact, got, c.same)
		}
	}
	if a, b := name("Subject: x\r\nStatus: RO\r\n fold\r\nX-UIDL: 1\r\nTo: z\r\n\r\n"), name("Subject: x\r\nStatus: ??\r\n nold\r\nX-UIDL: 2\r\nTo: z\r\n\r\n"); a != b {
		t.Errorf("named %s and %s", a, b)
	}
}

func TestAServerInTroubleWhileMarkingDeletesNothing(t *testing.T) {
	for _, hangUp := range []bool{false, true} {
		s := pop3d.StartWith(t, pop3d.Options{CommitOnHangUp: hangUp, Script: pop3d.Script{"DELE 2": pop3d.Say("-ERR [SYS/TEMP] disk\r\n")}}, three...)
		source := client(t, s, dial.Plain, nil)
		uids := uidsOf(list(t, source, ""))
		if err := settle(t, source, uids...); fetcher.RadiusOf(err) != fetcher.SessionRadius || s.Stored() != 3 {
			t.Errorf("%d mails are left of 3, %v", s.Stored(), err)
		}
		if got := s.Commands(); !slices.Equal(got[len(got)-2:], []string{"RSET", "QUIT"}) {
			t.Errorf("commands end with %q", got[len(got)-2:])
		}
	}
}

func TestMarksAreMadeInWindows(t *testing.T) {
	for _, c := range []struct {
		fact string
		capa []string
	}{{"pipelined", nil}, {"one after the other", []string{"UIDL"}}} {
		mails := make([][]byte, 1000)
		for i := range mails {
			mails[i] = []byte(fmt.Sprintf("Subject: %d\r\n\r\n", i))
		}
		s := pop3d.StartWith(t, pop3d.Options{Capa: c.capa, Script: pop3d.Script{"DELE 700": pop3d.Say("-ERR locked\r\n")}}, mails...)
		source := client(t, s, dial.Plain, nil)
		err := settle(t, source, uidsOf(list(t, source, ""))...)
		if fetcher.RadiusOf(err) != fetcher.MessageRadius || !strings.Contains(err.Error(), "u700: -ERR locked") || s.Stored() != 1 || !s.Holds(700) {
			t.Errorf("%s: %d mails are left of 1000, %v", c.fact, s.Stored(), err)
		}
	}
}
