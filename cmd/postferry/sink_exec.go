//go:build !no_exec

package main

import "github.com/postferry/postferry/sinks/exec"

var execKind = sinkKind{"exec", exec.Options{}, sinkOf(exec.New)}
