package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/internal/dial"
)

// maxFolders bounds how many names of boxes are kept.
const maxFolders = 10_000

// maxFolderName bounds the octets of one; what is longer is passed over.
const maxFolderName = 4 << 10

// ErrNoFolder is in the chain of the error of a box that the account does not
// have.
var ErrNoFolder = errors.New("the account has no such folder")

// notOpened explains why a box could not be opened: most often there is none of
// that name.
func (x *session) notOpened(ctx context.Context, name string, err error) error {
	if _, no := refused(err); !no {
		return err
	}
	all, listErr := x.list(ctx)
	if listErr != nil || len(all) == 0 {
		return err
	}
	names := namesOf(all)
	for _, n := range names {
		if sameBox(n, name) {
			return err
		}
	}
	e := &fetcher.Error{Radius: fetcher.SessionRadius, Cause: fetcher.Temporary, Op: "opening " + dial.Printable(name), Err: err}
	if inner, ok := err.(*fetcher.Error); ok {
		e.Err = fmt.Errorf("%w: %w", ErrNoFolder, inner.Err)
	}
	e.Hint = "folders names it; the account has " + dial.Printable(strings.Join(names[:min(len(names), 8)], ", "))
	if best := nearest(name, names); best != "" {
		e.Hint = fmt.Sprintf("did you mean %q? Names of folders are case-sensitive, with the server's own divider", dial.Printable(best))
	}
	return e
}

func unselectable(d *imap.ListData) bool {
	for _, a := range d.Attrs {
		if a == imap.MailboxAttrNoSelect || a == imap.MailboxAttrNonExistent {
			return true
		}
	}
	return false
}

// sameBox compares names of boxes; INBOX alone is compared without case (RFC 3501
// section 5.1).
func sameBox(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}

// nearest is the name most like the wanted one, or "" if none is much like it.
func nearest(want string, names []string) string {
	best, least := "", len(want)/2+1
	for _, n := range names {
		d := distance(strings.ToLower(want), strings.ToLower(n))
		// "Processed" is also meant by who writes it for "INBOX.Processed".
		if last := n[strings.LastIndexAny(n, "./")+1:]; last != n {
			d = min(d, 1+distance(strings.ToLower(want), strings.ToLower(last)))
		}
		if d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is Levenshtein's, of names short enough to be names.
func distance(a, b string) int {
	const long = 100
	if len(a) > long || len(b) > long {
		return long
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
