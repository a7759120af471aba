// Package spool is where taken mail is durable until every sink has said yes.
// The taking half puts mail in and carries settlements out; the giving half
// routes mail, delivers it and records what came of it. Neither knows the other.
//
//	taking: Stage, Take, Reconcile, Skip, Settlements, Settled
//	giving: Next, RouteAhead, Route, Due, Record, Release, Hold, Resume
//
// A [Spool] is a front over a [Store]. The front holds what is only of this
// process: a window of mail in memory, bounded in octets, so that mail just
// taken is routed and delivered without being read back; the queue of each
// sink; the claims of its workers; the callers that wait. The store holds what
// must survive: mail, deliveries, attempts, settlements and the ledger of known
// UIDs. Claims are never stored, so a process that dies leaves nothing claimed.
//
// # Group commit
//
// Every change goes through one committer. While it waits for the disk, further
// changes gather; the next transaction takes them all. A call returns after the
// transaction that holds its change is durable, and no transaction waits for a
// network. A change that fails changes nothing, in the store or in memory. The one
// exception is RouteAhead: what it decides can be decided again, and is recorded with
// the first outcome that follows from it.
//
// # Identity
//
// A delivery's id is a hash of what the mail is, not of where it is stored (see
// [DeliveryID]): the same after every retry, crash and re-take, even after the
// loss of the store.
package spool
