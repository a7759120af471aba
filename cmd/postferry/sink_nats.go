//go:build !no_nats

package main

import "github.com/postferry/postferry/sinks/nats"

var natsKind = sinkKind{"nats", nats.Options{}, sinkOf(nats.New)}
