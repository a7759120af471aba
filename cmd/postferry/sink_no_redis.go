//go:build no_redis

package main

var redisKind = leftOut("redis")
