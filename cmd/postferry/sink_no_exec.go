//go:build no_exec

package main

var execKind = leftOut("exec")
