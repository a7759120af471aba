//go:build !no_redis

package main

import "github.com/postferry/postferry/sinks/redis"

var redisKind = sinkKind{"redis", redis.Options{}, sinkOf(redis.New)}
