package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/spooltest"
	"github.com/postferry/postferry/spool/sqlite"
)

func TestStorePassesTheSuite(t *testing.T) {
	spooltest.Run(t, func(ctx context.Context, dir string) (spool.Store, error) {
		return sqlite.Open(ctx, filepath.Join(dir, "spool.db"))
	})
}
