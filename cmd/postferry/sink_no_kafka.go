//go:build no_kafka

package main

var kafkaKind = leftOut("kafka")
