package sqlite

import "context"

// OpenWith is Open with another value of PRAGMA synchronous, and with a log that
// is copied into the database after few mails.
func OpenWith(ctx context.Context, path, synchronous string) (*Store, error) {
	s, err := open(ctx, path, synchronous)
	if err == nil {
		s.checkpointAt = 600
	}
	return s, err
}
