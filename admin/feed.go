package admin

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Event is one line of `postferry tail`: what became of one mail, of one attempt to
// deliver it, or of the connection to a mailbox.
type Event struct {
	At       time.Time  `json:"at"`
	What     string     `json:"what"`               // routed, unrouted, quarantined, delivered, deferred, dead; of a mailbox: failed, lost, recovered; missed: Count events were lost
	Item     int64      `json:"item,omitempty"`     // the mail in this store; see `show`
	Mailbox  string     `json:"mailbox"`            //
	Sinks    []string   `json:"sinks,omitempty"`    // of a mail just routed
	Sink     string     `json:"sink,omitempty"`     // of an attempt
	Delivery string     `json:"delivery,omitempty"` // of an attempt
	Attempt  int        `json:"attempt,omitempty"`  // from 1
	Detail   string     `json:"detail,omitempty"`   // the destination's answer: "202"
	Error    string     `json:"error,omitempty"`    // of an attempt that failed, or why a mail is quarantined, or what a mailbox met
	Next     *time.Time `json:"next,omitempty"`     // when a deferred delivery is due again, or a mailbox is tried
	Count    int        `json:"count,omitempty"`    // of missed
}

// Feed hands events to those who follow it. Publishing never waits: a follower
// too slow for the events is told how many it missed.
type Feed struct {
	mu        sync.Mutex
	followers map[*follower]bool
}

// backlog is how many events a follower may be behind.
const backlog = 1024

type follower struct {
	events chan Event
	missed int
}

// NewFeed makes a Feed that nobody follows yet.
func NewFeed() *Feed { return &Feed{followers: map[*follower]bool{}} }

// Publish hands the event to every follower. It may be called by several
// goroutines at once.
func (f *Feed) Publish(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.followers {
		if w.missed > 0 {
			select {
			case w.events <- Event{At: e.At, What: "missed", Count: w.missed}:
				w.missed = 0
			default:
			}
		}
		select {
		case w.events <- e:
		default:
			w.missed++
		}
	}
}

// Followed reports whether anybody follows.
func (f *Feed) Followed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.followers) > 0
}

func (f *Feed) follow() *follower {
	w := &follower{events: make(chan Event, backlog)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers[w] = true
	return w
}

func (f *Feed) leave(w *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, w)
}

// heartbeat is how often a feed without events shows that it is there.
const heartbeat = 15 * time.Second

// events streams events, one JSON document a line, until the client goes or the
// service stops.
func (b Backend) events(w http.ResponseWriter, r *http.Request) {
	if b.Feed == nil {
		http.Error(w, "no events here", http.StatusNotFound)
		return
	}
	f := b.Feed.follow()
	defer b.Feed.leave(f)
	control := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	w.Header().Set("Content-Type", "application/x-ndjson")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(answerTime))
		if control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case e := <-f.events:
			if enc.Encode(e) != nil {
				return
			}
		case <-beat.C:
			if _, err := w.Write([]byte("\n")); err != nil {
				return
			}
		}
	}
}
