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
		kind := kindOf(op)
		if kind == "" || passed[kind] {
			continue
		}
		passed[kind] = true
		failpoint.Hit("spool." + kind + when)
	}
}

func kindOf(op spool.Op) string {
	switch op.(type) {
	case *spool.TakeOp:
		return "take"
	case *spool.RouteOp:
		return "route"
	case *spool.RecordOp:
		return "record"
	case *spool.SettledOp:
		return "settled"
	case *spool.LedgerOp, *spool.RecogniseOp:
		return "ledger"
	case *spool.RequeueOp, *spool.DropOp:
		return "requeue"
	case *spool.ForgetOp:
		return "forget"
	case *spool.PurgeOp:
		return "purge"
	}
	return ""
}
