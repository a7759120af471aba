//go:build no_nats || no_kafka || no_exec || no_amqp || no_redis || no_mqtt

package main

import (
	"fmt"

	"github.com/postferry/postferry/config"
)

// leftOut is a kind this program was built without, which whoever configures it is
// told.
func leftOut(name string) sinkKind {
	return sinkKind{name: name, read: func(s *config.Sink) (maker, error) {
		return nil, s.Section.Error("type", fmt.Errorf("this postferry was built without sinks of type %s (-tags no_%s): take a program that has them", name, name))
	}}
}
