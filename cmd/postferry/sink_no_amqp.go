//go:build no_amqp

package main

var amqpKind = leftOut("amqp")
