//go:build no_mqtt

package main

var mqttKind = leftOut("mqtt")
