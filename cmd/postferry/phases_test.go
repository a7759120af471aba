//go:build !race

// Processes of their own are killed, cut or recorded here: the race detector would
// see nothing of them, and slow what watches them.

package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/internal/mailtest"
)

// phases are the points of each phase of a drain, with the highest hit to be
// waited for: a drain comes by them once for each mail, or for each batch.
var phases = []struct {
	name   string
	points []string // SCHEME stands for the protocol
	most   int
}{
	{"take", []string{"take.before", "spool.take.commit.before", "SCHEME.body.part", "spool.take.commit.after", "take.after"}, 20},
	{"deliver", []string{"deliver.after", "deliver.before", "deliver.claimed"}, 40},
	{"record", []string{"spool.record.commit.before", "record.before", "record.after", "spool.record.commit.after"}, 12},
	{"settle", []string{"settle.after", "pop3.dele.sent imap.store.sent", "pop3.quit.sent imap.expunge.sent", "settle.before",
		"spool.settled.commit.before", "settle.recorded"}, 2},
}

// tally is what the receiver was given, without the bodies, and what follows from
// it: a long run takes more mail than memory should hold.
type tally struct {
	mu       sync.Mutex
	ids      map[string]map[string]bool // of accepted mails, by token
	sums     map[string][32]byte        // of bodies, by id
	requests int
	again    int // accepted once more
	wrong    []string
}

func (y *tally) answer(r *mailtest.Request) mailtest.Answer {
	select {
	case <-time.After(5 * time.Millisecond): // so that every kill meets deliveries under way
	case <-r.Context().Done():
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.requests++
	if r.Err != nil {
		return mailtest.Answer{Status: http.StatusBadRequest} // it broke off with the program
	}
	token := mailtest.Token(r.Body)
	r.Body = nil
	if token == "" {
		y.wrong = append(y.wrong, r.ID+" is none of the mails")
	}
	if sum, ok := y.sums[r.ID]; ok {
		y.again++
		if sum != r.SHA256 {
			y.wrong = append(y.wrong, r.ID+" came with two bodies")
		}
	}
	y.sums[r.ID] = r.SHA256
	if y.ids[token] == nil {
		y.ids[token] = map[string]bool{}
	}
	if y.ids[token][r.ID] = true; len(y.ids[token]) > 1 {
		y.wrong = append(y.wrong, token+" came under two ids")
	}
	return mailtest.Answer{Status: http.StatusOK}
}

// phaseRun is one protocol's kills and what came of them.
type phaseRun struct {
	*world
	scheme string
	rng    *rand.Rand
	tally  *tally
	sent   map[string]bool
	early  map[string]bool // not delivered and not on the server after a kill
	counts map[string]int  // kills, by phase
	kills  int
	again  int // duplicates counted so far
	worst  int // duplicates met in one run of the program
}

func TestKillsMeetEveryPhaseAndRecovery(t *testing.T) {
	kills := max(randomKills(t), 32) // so that each phase is met
	d := mailtest.StartDovecot(t)
	d.AddUser(t, ada, password)
	binary := mailtest.BuildBinary(t)
	for _, scheme := range []string{"pop3", "imap"} {
		t.Run(scheme, func(t *testing.T) {
			r := newPhaseRun(t, d, binary, scheme)
			for r.kills < kills && !t.Failed() {
				r.refill(60)
				switch r.kills % 4 {
				case 0, 1:
					r.inPhase(r.kills/4*2 + r.kills%4)
				case 2:
					r.recovering()
				default:
					r.anywhere()
				}
				r.look()
				if r.kills%50 == 0 || r.kills == kills {
					t.Log(r)
				}
			}
			r.end()
			t.Logf("at the end: %v", r)
			for _, phase := range []string{"take", "deliver", "record", "settle", "recovery"} {
				if r.counts[phase] < 3 {
					t.Errorf("phase %s was hit %d times, want 3 at least", phase, r.counts[phase])
				}
			}
		})
	}
}

func newPhaseRun(t *testing.T, d *mailtest.Dovecot, binary, scheme string) *phaseRun {
	r := &phaseRun{
		world:  &world{t: t, dovecot: d, receiver: mailtest.NewReceiver(t), binary: binary, dir: t.TempDir()},
		scheme: scheme, rng: rand.New(rand.NewPCG(2, uint64(scheme[0]))),
		tally: &tally{ids: map[string]map[string]bool{}, sums: map[string][32]byte{}},
		sent:  map[string]bool{}, early: map[string]bool{}, counts: map[string]int{},
	}
	r.config = r.dir + "/postferry.yaml"
	r.mailbox(scheme, "after: delete", "insecure: true")
	r.receiver.Answer(r.tally.answer)
	return r
}

// refill makes it n mails that are on the server.
func (r *phaseRun) refill(n int) {
	r.t.Helper()
	there := r.dovecot.Count(r.t, ada, "INBOX")
	if there >= n {
		return
	}
	for _, raw := range mailtest.Mix(n-there, uint64(r.scheme[0])*1e9+uint64(len(r.sent))) {
		r.sent[mailtest.Token(raw)] = true
		r.dovecot.Append(r.t, ada, "INBOX", raw)
	}
}

// inPhase kills the program where it has stopped, at a point, the n-th in turn.
func (r *phaseRun) inPhase(n int) {
	r.t.Helper()
	phase := phases[n%len(phases)]
	point := strings.ReplaceAll(phase.points[n/len(phases)%len(phase.points)], "SCHEME", r.scheme)
	if choices := strings.Fields(point); len(choices) > 1 {
		point = choices[slices.Index([]string{"pop3", "imap"}, r.scheme)]
	}
	hit := 1 + r.rng.IntN(phase.most)
	for try := 1; ; try++ {
		p := mailtest.StartProc(r.t, mailtest.Command{Path: r.binary, Args: []string{"run", "--once"}, Dir: r.dir,
			Env: []string{fmt.Sprintf("%s=%s:stop#%d", failpoint.Variable, point, hit)}})
		killed, code := p.KillStopped(r.t, time.Minute)
		if killed {
			r.kills++
			r.counts[phase.name]++
			return
		}
		if code != 0 || try == 2 {
			r.t.Fatalf("%s, hit %d: exit code %d instead of the kill: %s", point, hit, code, tail(p.Stderr.String(), 2000))
		}
		// It was not passed so often, since much was taken or delivered before. Now the
		// mailbox is drained, and new mails pass every point.
		r.look()
		r.refill(60)
		hit = 1
	}
}

// recovering kills the program within half a second of its start.
func (r *phaseRun) recovering() {
	p := r.start("run")
	time.Sleep(time.Duration(r.rng.IntN(500)) * time.Millisecond)
	p.Kill()
	r.kills++
	r.counts["recovery"]++
}

// anywhere kills the program a random while after a random number of requests.
func (r *phaseRun) anywhere() {
	p := r.start("run")
	enough, cancel := context.WithTimeout(r.t.Context(), 3*time.Second)
	_ = r.receiver.WaitRequests(enough, r.receiver.Count()+r.rng.IntN(40)) // or there are no more to wait for
	cancel()
	time.Sleep(time.Duration(r.rng.IntN(30)) * time.Millisecond)
	p.Kill()
	r.kills++
	r.counts["any moment"]++
}

// look holds server and receiver against the oracle, and counts duplicates.
func (r *phaseRun) look() {
	r.t.Helper()
	left := map[string]bool{}
	for _, raw := range r.dovecot.Stored(r.t, ada, "INBOX") {
		left[mailtest.Token(raw)] = true
	}
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	for token := range r.sent {
		if !left[token] && r.tally.ids[token] == nil && !r.early[token] {
			r.early[token] = true
			r.t.Errorf("kill %d: %s is neither on the server nor delivered", r.kills, token)
		}
	}
	for _, w := range r.tally.wrong {
		r.t.Errorf("kill %d: %s", r.kills, w)
	}
	r.worst = max(r.worst, r.tally.again-r.again)
	r.again = r.tally.again
	if r.again > inFlight*r.kills {
		r.t.Errorf("%d duplicates after %d kills, at most %d were in flight at each", r.again, r.kills, inFlight)
	}
}

// end lets the program finish.
func (r *phaseRun) end() {
	r.t.Helper()
	r.once(0)
	r.look()
	if lost := r.lost(); lost > 0 {
		r.t.Errorf("%d of %d mails did not arrive", lost, len(r.sent))
	}
	if in := r.dovecot.Count(r.t, ada, "INBOX"); in != 0 {
		r.t.Errorf("%d mails left on the server", in)
	}
}

func (r *phaseRun) lost() (n int) {
	left := map[string]bool{}
	for _, raw := range r.dovecot.Stored(r.t, ada, "INBOX") {
		left[mailtest.Token(raw)] = true
	}
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	for token := range r.sent {
		if !left[token] && r.tally.ids[token] == nil {
			n++
		}
	}
	return n
}

// String is the report.
func (r *phaseRun) String() string {
	lost := r.lost()
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	return fmt.Sprintf("%d kills %v, %d mails, %d requests: %d lost, %d settled early, %d duplicates, %d at most in one run",
		r.kills, r.counts, len(r.sent), r.tally.requests, lost, len(r.early), r.again, r.worst)
}
