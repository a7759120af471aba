// Package spooltest holds what every store of the spool has to do: a Store passes
// Run, whatever it keeps its tables in.
//
//	func TestStore(t *testing.T) {
//		spooltest.Run(t, func(ctx context.Context, dir string) (spool.Store, error) {
//			return sqlite.Open(ctx, filepath.Join(dir, "spool.db"))
//		})
//	}
//
// Most facts are told through a spool.Spool over the store, as the rooms use it;
// what only the store can show is told with Store.Commit. The clock stands still
// until a test moves it.
package spooltest

import (
	"context"
	"testing"

	"github.com/postferry/postferry/spool"
)

// Opener opens the store that is kept in a folder, or makes it there. A folder
// that was closed is opened again with what was in it; one that is open is
// spool.ErrLocked.
type Opener func(ctx context.Context, dir string) (spool.Store, error)

// Run tests the store.
func Run(t *testing.T, open Opener) {
	run := func(prefix string, ahead bool, groups ...map[string]func(*testing.T, *rig)) {
		for _, group := range groups {
			for name, test := range group {
				t.Run(prefix+name, func(t *testing.T) {
					r := newRig(t, open)
					r.ahead = ahead
					test(t, r)
				})
			}
		}
	}
	run("", false, taking, ledgers, recognising, giving, ordering, settling, inspecting, filling, errands, committing, remembering, routingAhead)
	run("ahead/", true, giving, ordering, settling, inspecting, filling, errands)
}
