package sqlite

import (
	"github.com/postferry/postferry/internal/failpoint"
	"github.com/postferry/postferry/spool"
)

const (
	before = ".commit.before"
	after  = ".commit.after"
)

// pass hits the point of each kind of operation that is in the batch.
func pass(ops []spool.Op, when string) {
	if !failpoint.Armed() {
		return
	}
	passed := map[string]bool{}
	for _, op := range ops {
		for _, kind := range kindsOf(op) {
			if !passed[kind] {
				passed[kind] = true
				failpoint.Hit("spool." + kind + when)
			}
		}
	}
}

func kindsOf(op spool.Op) []string {
	switch op := op.(type) {
	case *spool.TakeOp:
		return []string{"take"}
	case *spool.RouteOp:
		return []string{"route"}
	case *spool.RecordOp:
		if op.Route != nil {
			return []string{"route", "record"}
		}
		return []string{"record"}
	case *spool.SettledOp:
		return []string{"settled"}
	case *spool.LedgerOp, *spool.RecogniseOp:
		return []string{"ledger"}
	case *spool.RequeueOp, *spool.DropOp:
		return []string{"requeue"}
	case *spool.ForgetOp:
		return []string{"forget"}
	case *spool.PurgeOp:
		return []string{"purge"}
	}
	return nil
}
