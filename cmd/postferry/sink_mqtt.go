//go:build !no_mqtt

package main

import "github.com/postferry/postferry/sinks/mqtt"

var mqttKind = sinkKind{"mqtt", mqtt.Options{}, sinkOf(mqtt.New)}
