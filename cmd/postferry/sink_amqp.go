//go:build !no_amqp

package main

import "github.com/postferry/postferry/sinks/amqp"

var amqpKind = sinkKind{"amqp", amqp.Options{}, sinkOf(amqp.New)}
