//go:build no_nats

package main

var natsKind = leftOut("nats")
