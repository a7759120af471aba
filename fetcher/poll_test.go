package fetcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

func TestTheFirstRunTakesWhatBackfillSays(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		fact     string
		backfill Backfill
		lasting  bool // times are told by Describe
		undated  bool
		want     string
	}{
		{"nothing", Backfill{}, false, false, "listed 3 baseline 3"},
		{"all", Backfill{All: true}, false, false, "listed 3 fresh 3 taken 3"},
		{"all of a server that tells no times", Backfill{All: true}, false, true, "listed 3 fresh 3 taken 3"},
		{"what is young enough", Backfill{Age: 48 * time.Hour}, false, false, "listed 3 fresh 2 taken 2 baseline 1"},
		{"what is young enough, when asked", Backfill{Age: 48 * time.Hour}, true, true, "listed 3 fresh 2 taken 2 baseline 1"},
		{"nothing of a server that tells no times", Backfill{Age: 48 * time.Hour}, false, true, "listed 3 baseline 3"},
	} {
		t.Run(test.fact, func(t *testing.T) {
			s := &server{lasting: test.lasting, undated: test.undated}
			for i, age := range []time.Duration{72, 24, 1} {
				m := mail(fmt.Sprint(i))
				m.at = now.Add(-age * time.Hour)
				s.add("INBOX", m)
			}
			m := mailbox(s)
			m.Backfill = test.backfill
			h := newHouse(t, spool.Options{}, m)
			defer h.close()
			wantReport(t, h.once(), test.want)
			wantReport(t, h.once(), "listed 3")
			s.add("INBOX", mail("new"))
			wantReport(t, h.once(), "listed 4 fresh 1 taken 1")
		})
	}
}

func TestABoxIsKnownToTheSpoolBeforeAnythingIsTaken(t *testing.T) {
	s := &server{}
	s.add("INBOX", mail("1"), mail("2"))
	m := mailbox(s)
	m.Backfill = Backfill{}
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	h.once()
	st, err := h.sp.Status(t.Context())
	if err != nil || len(st.Mailboxes) != 1 || st.Mailboxes[0].Mailbox != "support" || st.Mailboxes[0].Known != 2 || st.Mailboxes[0].Listed == nil {
		t.Errorf("Status = %+v, %v", st.Mailboxes, err)
	}
}

func TestWhatAFilterLeavesOutIsLeftForGood(t *testing.T) {
	s := &server{}
	out := mail("1")
	out.excluded = true
	s.add("INBOX", out, mail("2"))
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	wantReport(t, h.once(), "listed 2 fresh 1 taken 1 excluded 1")
	out.excluded = false
	wantReport(t, h.once(), "listed 2")
}

func TestAMailListedTwiceIsTakenOnce(t *testing.T) {
	s := &server{}
	m := mail("1")
	s.add("INBOX", m, mail("2"), m)
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.once()
	if want := []string{"1", "2"}; !slices.Equal(s.got, want) {
		t.Errorf("retrieved %q, want %q", s.got, want)
	}
}

func TestOneBadMailDoesNotHoldUpTheOthers(t *testing.T) {
	s := &server{poison: map[string]error{"2": &Error{Op: "retrieving", UID: "2", Err: errors.New("empty")}}}
	s.add("INBOX", mail("1"), mail("2"), mail("3"))
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	wantReport(t, h.once(), "listed 3 fresh 3 taken 2 failed 1")
	wantReport(t, h.once(), "listed 3 fresh 1 failed 1")
	if n := h.logs.count("message not taken"); n != 1 {
		t.Errorf("the same failure was logged %d times", n)
	}
	s.poison = nil
	wantReport(t, h.once(), "listed 3 fresh 1 taken 1")
}

func TestAMailTooLargeForTheSpoolIsPassedOver(t *testing.T) {
	s := &server{}
	large := mail("2")
	large.octets += strings.Repeat("x", 2000)
	s.add("INBOX", mail("1"), large, mail("3"))
	h := newHouse(t, spool.Options{Largest: 1000}, mailbox(s))
	defer h.close()
	wantReport(t, h.once(), "listed 3 fresh 3 taken 2 failed 1")
	wantReport(t, h.once(), "listed 3 fresh 1 failed 1")
	if want := []string{"1", "2", "3"}; !slices.Equal(s.got, want) {
		t.Errorf("retrieved %q, want %q", s.got, want)
	}
}

func TestALimitLeavesTheRestForTheNextPoll(t *testing.T) {
	s := &server{}
	for i := range 5 {
		s.add("INBOX", mail(fmt.Sprint("a", i)))
		s.add("Other", mail(fmt.Sprint("b", i)))
	}
	m := mailbox(s)
	m.Limit, m.Boxes = 6, []string{"INBOX", "Other"}
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	wantReport(t, h.once(), "listed 10 fresh 10 taken 6")
	wantReport(t, h.once(), "listed 10 fresh 4 taken 4")
}

func TestManyMailsAreTakenOnceEach(t *testing.T) {
	s := &server{lasting: true, undated: true}
	for i := range 2*chunk + 7 {
		s.add("INBOX", mail(fmt.Sprint(i)))
	}
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	r := h.once()
	if r.Taken != 2*chunk+7 || len(s.got) != 2*chunk+7 {
		t.Errorf("%v, %d retrieved", r, len(s.got))
	}
	if s.aboutMe != 1 {
		t.Errorf("mails were described in %d rounds, want 1", s.aboutMe)
	}
}

func TestABoxThatFailsDoesNotKeepTheOthersFromBeingTaken(t *testing.T) {
	s := &server{broken: map[string]error{"INBOX": Errorf(Temporary, "opening INBOX", "", "no such folder")}}
	s.add("Other", mail("1"))
	m := mailbox(s)
	m.Boxes = []string{"INBOX", "Other"}
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	r := h.Once(t.Context())[0]
	if r.Err == nil || r.Taken != 1 {
		t.Errorf("%v, error %v", r, r.Err)
	}
	st, _ := h.sp.Status(t.Context())
	if len(st.Mailboxes) != 1 || !strings.Contains(st.Mailboxes[0].Error, "no such folder") || st.Mailboxes[0].Listed != nil {
		t.Errorf("Status = %+v", st.Mailboxes)
	}
}

func TestASettlementIsCarriedOutByTheNextVisit(t *testing.T) {
	s := &server{}
	s.add("INBOX", mail("1"), mail("2"))
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	wantReport(t, h.once(), "listed 2 fresh 2 taken 2")
	h.deliver(t.Context(), 2)
	wantReport(t, h.once(), "listed 2 settled 2")
	wantReport(t, h.once(), "")
}

func TestASessionThatSettlingEndsSettlesOnce(t *testing.T) {
	const many = 1001 // one more than the spool gives at a time
	s := &server{}
	for i := range many {
		s.add("INBOX", mail(fmt.Sprint(i)))
	}
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.once()
	h.deliver(t.Context(), many)
	wantReport(t, h.once(), "listed 1001 settled 1000")
	wantReport(t, h.Settle(t.Context())[0], "settled 1")
}

func TestAVisitWaitsForDeliveriesToSettleThem(t *testing.T) {
	s := &server{}
	s.add("INBOX", mail("1"), mail("2"))
	m := mailbox(s)
	m.SettleWait = MaxSettleWait
	h := newHouse(t, spool.Options{}, m)
	defer h.close()
	go h.deliver(t.Context(), 2)
	wantReport(t, h.once(), "listed 2 fresh 2 taken 2 settled 2")
	if opened, _ := s.counts(); opened != 1 {
		t.Errorf("%d sessions were opened", opened)
	}
}

func TestADeclinedSettlementHoldsUpNoOther(t *testing.T) {
	for _, lasting := range []bool{true, false} {
		s := &server{lasting: lasting, decline: func(d spool.Settlement) error {
			if d.UID == "2" {
				return &Error{Op: "settling", UID: d.UID, Err: errors.New("NO")}
			}
			return nil
		}}
		s.add("INBOX", mail("1"), mail("2"), mail("3"))
		h := newHouse(t, spool.Options{}, mailbox(s))
		h.once()
		h.deliver(t.Context(), 3)
		wantReport(t, h.once(), "listed 3 settled 2 unsettled 1")
		if got := uidsOf(s.settled); !slices.Equal(got, []string{"1", "3"}) {
			t.Errorf("settled %q", got)
		}
		r := h.Settle(t.Context())[0]
		if r.Err != nil || r.Settled != 0 || r.Unsettled != 1 {
			t.Errorf("Settle = %v, %v", r, r.Err)
		}
		s.decline = nil
		wantReport(t, h.Settle(t.Context())[0], "settled 1")
		h.close()
	}
}

func TestASettlementOfABrokenSessionIsRepeated(t *testing.T) {
	gone := Errorf(Unreachable, "settling", "", "the connection is gone")
	s := &server{decline: func(spool.Settlement) error { return gone }}
	s.add("INBOX", mail("1"))
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.once()
	h.deliver(t.Context(), 1)
	if r := h.Once(t.Context())[0]; !errors.Is(r.Err, gone.Err) || r.Settled != 0 {
		t.Errorf("%v, %v", r, r.Err)
	}
	s.decline = nil
	wantReport(t, h.once(), "listed 1 settled 1")
}

func TestAVisitCutShortTakesNothingTwice(t *testing.T) {
	s := &server{poison: map[string]error{"2": context.Canceled}}
	s.add("INBOX", mail("1"), mail("2"), mail("3"))
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	if r := h.Once(t.Context())[0]; !errors.Is(r.Err, context.Canceled) || r.Taken != 1 {
		t.Errorf("%v, %v", r, r.Err)
	}
	s.poison = nil
	wantReport(t, h.once(), "listed 3 fresh 2 taken 2")
}

func TestReportsComeInOrderAndMailboxesDoNotHinderEachOther(t *testing.T) {
	bad := &server{refuse: &Error{Radius: AccountRadius, Cause: Refused, Op: "signing in", Err: errors.New("no")}}
	good := &server{}
	good.add("INBOX", mail("1"))
	first, second := mailbox(bad), mailbox(good)
	first.Name, first.Account = "first", "bob@example.com"
	h := newHouse(t, spool.Options{}, first, second)
	defer h.close()
	r := h.Once(t.Context())
	if len(r) != 2 || r[0].Mailbox != "first" || CauseOf(r[0].Err) != Refused || r[1].Mailbox != "support" || r[1].Taken != 1 {
		t.Errorf("reports %+v", r)
	}
}

func TestMailboxesWithoutSettlementsAreNotVisitedToSettle(t *testing.T) {
	s := &server{}
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	if r := h.Settle(t.Context())[0]; r.Err != nil {
		t.Error(r.Err)
	}
	if opened, _ := s.counts(); opened != 0 {
		t.Errorf("%d sessions were opened", opened)
	}
}

func TestErrorsAreGradedByTheirWorst(t *testing.T) {
	one := &Error{Radius: MessageRadius, Cause: Protocol, Op: "retrieving", UID: "7/1", Err: errors.New("empty"), Hint: "ask"}
	if got := one.Error(); got != "retrieving 7/1: empty — ask" {
		t.Errorf("Error() = %q", got)
	}
	account := &Error{Radius: AccountRadius, Cause: Refused}
	for _, c := range []struct {
		err    error
		radius Radius
	}{
		{one, MessageRadius}, {errors.New("x"), SessionRadius}, {errors.Join(one, one), MessageRadius},
		{errors.Join(one, account), AccountRadius}, {fmt.Errorf("x: %w", account), AccountRadius},
		{errors.Join(one, errors.Join(one, errors.New("x"))), SessionRadius},
	} {
		if got := RadiusOf(c.err); got != c.radius {
			t.Errorf("RadiusOf(%v) = %v, want %v", c.err, got, c.radius)
		}
	}
	if n := len(flatten(errors.Join(one, errors.Join(one, one)))); n != 3 {
		t.Errorf("flatten gives %d errors, want 3", n)
	}
}

func TestMailsAreNumberedInTheOrderOfTheListing(t *testing.T) {
	s := &server{}
	for n := range 1000 {
		m := mail(fmt.Sprint("1/", n))
		m.octets += strings.Repeat("x", n*7919%3000)
		s.add("INBOX", m)
	}
	h := newHouse(t, spool.Options{}, mailbox(s))
	defer h.close()
	h.once()
	for n := range 1000 {
		item, err := h.sp.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint("1/", n); item.UID != want {
			t.Fatalf("the %d. is %s, want %s", n+1, item.UID, want)
		}
		if err := h.sp.Route(t.Context(), item.ID, spool.Routing{}); err != nil {
			t.Fatal(err)
		}
	}
}
