// Package bench measures the spool beside River (riverqueue.com) on the same
// SQLite: a module of its own, so that postferry's does not need River.
//
//	cd spool/bench && go test -bench . -benchtime 5000x -count 3
package bench
