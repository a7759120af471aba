// Package bench measures the parser beside others that read mail in Go. It is a
// module of its own, so that what it compares with is no dependency of postferry:
//
//	cd parser/bench && go test -run '^$' -bench Interleaved -benchtime 1x
package bench
