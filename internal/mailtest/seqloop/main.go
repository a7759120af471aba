// Command seqloop is the loop that a program with a mailbox is usually given by
// hand: one mail after the other it fetches with go-imap, parses with
// go-message, posts as JSON, and marks as deleted. It remembers nothing: what
// fails is left on the server, and a crash delivers again. Benchmarks measure
// postferry against it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-message"
	"github.com/emersion/go-message/charset"

	"github.com/postferry/postferry/internal/mailtest/peer"
)

// expungeEvery is how many mails are expunged with one command.
const expungeEvery = 100

func main() {
	message.CharsetReader = charset.Reader
	os.Exit(peer.Run(os.Args[1:], os.Stdout, os.Stderr, loop))
}

func loop(w peer.Work) (int, error) {
	c, uids, err := w.Open()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	client := &http.Client{Timeout: time.Minute}
	var (
		done     int
		deleted  imap.UIDSet
		failures []error
	)
	for i, uid := range uids {
		if err := ferry(c, client, w.Webhook, uid); err != nil {
			failures = append(failures, fmt.Errorf("UID %d: %w", uid, err))
		} else {
			done++
			deleted.AddNum(uid)
		}
		if last := i == len(uids)-1; len(deleted) > 0 && (last || (i+1)%expungeEvery == 0) {
			if err := c.UIDExpunge(deleted).Close(); err != nil {
				return done, fmt.Errorf("expunge: %w", err)
			}
			deleted = nil
		}
	}
	if err := c.Logout().Wait(); err != nil {
		failures = append(failures, fmt.Errorf("log out: %w", err))
	}
	return done, errors.Join(failures...)
}

// ferry brings one mail from the mailbox to the webhook.
func ferry(c *imapclient.Client, client *http.Client, url string, uid imap.UID) error {
	whole := &imap.FetchItemBodySection{Peek: true}
	mails, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if len(mails) != 1 {
		return errors.New("fetch: it is gone")
	}
	m, err := parse(mails[0].FindBodySection(whole))
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if err := post(client, url, body); err != nil {
		return err
	}
	gone := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(imap.UIDSetNum(uid), gone, nil).Close(); err != nil {
		return fmt.Errorf("mark as deleted: %w", err)
	}
	return nil
}

func post(client *http.Client, url string, body []byte) error {
	resp, err := client.Post(url, "application/json", bytes.NewReader(body))
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
