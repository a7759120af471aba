//go:build !unix

package exec

import "os/exec"

// ownGroup leaves the program as it is: it alone is ended when the context does.
func ownGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
