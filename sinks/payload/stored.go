package payload

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// Stored keeps the attachments of a sink's deliveries in a blob.Store, and says
// where each is.
type Stored struct {
	Store blob.Store
	Key   *Text   // of attachment; nil: by content, the sha256 below its first two digits
	Base  string  // what a key stands behind, "https://files.example.com/"; "" is the store's own address
	Only  *Filter // nil: every attachment
}

// Put stores what the delivery's body will name. It comes before the delivery, on
// every attempt. What an attempt before has stored is not sent again where the key
// has the sha256 in it and the store says that it is there: nothing else can be.
func (s *Stored) Put(ctx context.Context, d *sinks.Delivery) error {
	for i := range d.Message.Attachments {
		a := &d.Message.Attachments[i]
		if d.Part != "" && a.PartID != d.Part || !s.Only.Takes(a) {
			continue
		}
		key, err := s.key(d, a)
		if err != nil {
			return sinks.Permanent(fmt.Errorf("making the key of attachment %s: %w", a.PartID, err))
		}
		if d.Attempt > 1 && strings.Contains(key, a.SHA256) {
			// A store that cannot tell is given it again.
			if there, err := s.Store.Has(ctx, key, a.Size); there && err == nil {
				continue
			}
		}
		if err := s.Store.Put(ctx, blob.Object{Key: key, Size: a.Size, ContentType: a.Type, Open: a.Open}); err != nil {
			return fmt.Errorf("storing attachment %s: %w", a.PartID, err)
		}
	}
	return nil
}

func (s *Stored) key(d *sinks.Delivery, a *parser.Attachment) (string, error) {
	if s.Key == nil {
		return a.SHA256[:2] + "/" + a.SHA256, nil
	}
	own := *d
	own.Part = a.PartID
	return keyOf(s.Key, &own)
}

// Link implements Options.Link.
func (s *Stored) Link(d *sinks.Delivery, a *parser.Attachment) string {
	key, err := s.key(d, a)
	if err != nil {
		return ""
	}
	if s.Base == "" {
		return s.Store.Address(key)
	}
	return strings.TrimSuffix(s.Base, "/") + (&url.URL{Path: "/" + key}).EscapedPath()
}
