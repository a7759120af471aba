package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

// linksPath is where attachments are served, below public_url.
const linksPath = "/attachments/"

// linker signs the links to attachments that are not in a body. A link follows
// from the delivery, the attachment and the configuration, so that every attempt
// sends the same; whoever has it has the attachment, until it expires.
type linker struct {
	base string
	key  []byte
	last time.Duration // how long a link is good, from the event's time on
}

// newLinker is nil where public_url is not set.
func newLinker(c *config.Config) *linker {
	if c.PublicURL == "" {
		return nil
	}
	return &linker{strings.TrimSuffix(c.PublicURL, "/"), []byte(c.LinkSecret.Reveal()), c.Retain}
}

func (l *linker) link(d *sinks.Delivery, a *parser.Attachment) string {
	expires := strconv.FormatInt(d.Timestamp.Add(l.last).Unix(), 10)
	q := url.Values{"expires": {expires}, "signature": {l.sign(d.ID, a.PartID, expires)}}
	return l.base + linksPath + url.PathEscape(d.ID) + "/" + url.PathEscape(a.PartID) + "?" + q.Encode()
}

func (l *linker) sign(delivery, part, expires string) string {
	h := hmac.New(sha256.New, l.key)
	fmt.Fprintf(h, "%d:%s %d:%s %s", len(delivery), delivery, len(part), part, expires)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// valid tells whether a link was made by this linker, and has not expired.
func (l *linker) valid(delivery, part string, q url.Values, now time.Time) (signed, fresh bool) {
	expires := q.Get("expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	signed = err == nil && hmac.Equal([]byte(q.Get("signature")), []byte(l.sign(delivery, part, expires)))
	return signed, signed && now.Unix() < until
}

const (
	linksAtOnce  = 4               // attachments served at once
	linkPatience = 5 * time.Minute // for one to be fetched
)

// served answers for the links: it reads the mail out of the spool and gives the
// attachment, as a download that no browser takes for a page.
func (l *linker) served(sp *spool.Spool, log *slog.Logger) http.Handler {
	places := semaphore.NewWeighted(linksAtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		delivery, part := r.PathValue("delivery"), r.PathValue("part")
		signed, fresh := l.valid(delivery, part, r.URL.Query(), time.Now())
		switch {
		case !signed:
			http.Error(w, "this is no link of ours", http.StatusForbidden)
			return
		case !fresh:
			http.Error(w, "the link has expired", http.StatusGone)
			return
		case places.Acquire(r.Context(), 1) != nil:
			return
		}
		defer places.Release(1)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(linkPatience)) // without it the server's own holds
		if err := give(r.Context(), w, sp, delivery, part); err != nil {
			log.Warn("attachment not served", "delivery", delivery, "part", part, "error", err)
		}
	})
}

// give writes the attachment. What is not kept any more is not found.
func give(ctx context.Context, w http.ResponseWriter, sp *spool.Spool, delivery, part string) error {
	m, err := sp.Show(ctx, spool.Target{Delivery: delivery})
	var octets *spool.Octets
	if err == nil {
		octets, err = sp.Octets(ctx, m.ID)
	}
	switch {
	case errors.Is(err, spool.ErrUnknown), errors.Is(err, spool.ErrErased):
		http.Error(w, "the mail is not kept any more", http.StatusNotFound)
		return nil
	case err != nil:
		http.Error(w, "the mail cannot be read", http.StatusServiceUnavailable)
		return err
	}
	defer octets.Close()
	parsed, err := parser.Parse(octets, octets.Size(), parser.DefaultLimits())
	if err != nil {
		http.Error(w, "the mail cannot be read", http.StatusServiceUnavailable)
		return err
	}
	for i := range parsed.Attachments {
		if a := &parsed.Attachments[i]; a.PartID == part {
			return send(w, a)
		}
	}
	http.Error(w, "the mail has no such attachment", http.StatusNotFound)
	return nil
}

func send(w http.ResponseWriter, a *parser.Attachment) error {
	r, err := a.Open()
	if err != nil {
		http.Error(w, "the mail cannot be read", http.StatusServiceUnavailable)
		return err
	}
	defer r.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if media := mime.FormatMediaType(a.Type, nil); media != "" {
		h.Set("Content-Type", media)
	}
	h.Set("Content-Length", strconv.FormatInt(a.Size, 10))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.SafeName})) // RFC 6266
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	_, err = io.Copy(w, r)
	return err
}
