// Command relay moves mail from a mailbox to a webhook as fast as the two
// allow: it fetches in batches, posts the raw octets on eight connections while
// it fetches on, and deletes what was accepted. It parses nothing and stores
// nothing. Benchmarks take it for the upper limit.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postferry/postferry/internal/mailtest/peer"
)

const (
	batch   = 100 // mails of one FETCH
	posters = 8
)

func main() { os.Exit(peer.Run(os.Args[1:], os.Stdout, os.Stderr, run)) }

// taken is a mail on its way to the webhook.
type taken struct {
	uid imap.UID
	raw []byte
}

// relay is one run. What the posters share stands behind mu.
type relay struct {
	client *imapclient.Client
	http   *http.Client
	url    string
	queue  chan taken // bounds what is in memory

	mu       sync.Mutex
	accepted imap.UIDSet // and not yet deleted
	done     int
	failures []error
}

func run(w peer.Work) (int, error) {
	c, uids, err := w.Open()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	remover, _, err := w.Open()
	if err != nil {
		return 0, err
	}
	defer remover.Close()
	r := &relay{
		client: c, url: w.Webhook, queue: make(chan taken, 4*posters),
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: posters, MaxConnsPerHost: posters}},
	}
	var work sync.WaitGroup
	for range posters {
		work.Go(r.post)
	}
	ended, removed := make(chan struct{}), make(chan error, 1)
	go func() { removed <- r.removeAll(remover, ended) }()
	err = r.fetch(uids)
	close(r.queue)
	work.Wait()
	close(ended)
	err = errors.Join(err, <-removed)
	if err == nil {
		err = errors.Join(c.Logout().Wait(), remover.Logout().Wait())
	}
	return r.done, errors.Join(append(r.failures, err)...)
}

// fetch fetches batch after batch.
func (r *relay) fetch(uids []imap.UID) error {
	whole := &imap.FetchItemBodySection{Peek: true}
	for some := range slices.Chunk(uids, batch) {
		cmd := r.client.Fetch(imap.UIDSetNum(some...), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{whole}})
		for m := cmd.Next(); m != nil; m = cmd.Next() {
			mail, err := m.Collect()
			if err != nil {
				cmd.Close()
				return fmt.Errorf("fetch: %w", err)
			}
			r.queue <- taken{mail.UID, mail.FindBodySection(whole)}
		}
		if err := cmd.Close(); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
	}
	return nil
}

// remove deletes, on a connection of its own, what was accepted so far.
func (r *relay) remove(c *imapclient.Client) error {
	r.mu.Lock()
	set := r.accepted
	r.accepted = nil
	r.mu.Unlock()
	if len(set) == 0 {
		return nil
	}
	gone := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(set, gone, nil).Close(); err != nil {
		return fmt.Errorf("mark as deleted: %w", err)
	}
	if err := c.UIDExpunge(set).Close(); err != nil {
		return fmt.Errorf("expunge: %w", err)
	}
	return nil
}

// removeAll removes again and again until ended is closed and nothing is left.
func (r *relay) removeAll(c *imapclient.Client, ended <-chan struct{}) error {
	for last := false; ; {
		if err := r.remove(c); err != nil || last {
			return err
		}
		select {
		case <-ended:
			last = true
		case <-time.After(20 * time.Millisecond): // what comes meanwhile goes together
		}
	}
}

// post posts mails until there are no more.
func (r *relay) post() {
	for m := range r.queue {
		err := r.send(m.raw)
		r.mu.Lock()
		if err != nil {
			r.failures = append(r.failures, fmt.Errorf("UID %d: %w", m.uid, err))
		} else {
			r.done++
			r.accepted.AddNum(m.uid)
		}
		r.mu.Unlock()
	}
}

func (r *relay) send(raw []byte) error {
	resp, err := r.http.Post(r.url, "message/rfc822", bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("post: the webhook answered %s", resp.Status)
	}
	return nil
}
