// Package bench measures the spool beside River (riverqueue.com) on the same
// SQLite: a module of its own, so that postferry's does not need River.
//
//	cd spool/bench && go test -bench . -benchtime 10000x
package bench
