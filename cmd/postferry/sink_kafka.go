//go:build !no_kafka

package main

import "github.com/postferry/postferry/sinks/kafka"

var kafkaKind = sinkKind{"kafka", kafka.Options{}, sinkOf(kafka.New)}
