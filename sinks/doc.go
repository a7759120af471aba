// Package sinks is the giving half: it takes mail from the spool, parses it,
// decides by the routes of its mailbox where it goes, and gives it to each
// destination until that has said yes.
//
//	Dispatcher   runs it all; New, then Run until the context ends
//	router.go    one mail: parsed, and where it goes decided once (Route, Evaluate, Split)
//	lane.go      one sink: what is due is claimed, delivered, recorded; its concurrency, rate and order
//	judge.go     what an attempt came to: delivered, deferred until, dead, or the sink held
//
// A destination is a Sink; package sinks/<kind> has one each, and sinktest is the
// suite they pass. What they are given is a Delivery, which sinks/payload turns
// into octets. An error of Deliver is temporary unless it is marked: Permanent
// ends in a dead letter, RetryAfter waits at least so long, SinkFault holds the
// sink and not the mail. Lanes share nothing but the spool, so a slow or dead
// destination delays no other.
//
// A delivery is made at least once. Its id is the same at every attempt, and no
// worker goes on before its outcome is durable, so what may come twice after a
// crash is what was in flight.
package sinks
