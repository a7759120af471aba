package spool_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/postferry/postferry/spool"
)

func TestHowLongAnAttemptTookIsInMillisecondsForOthers(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for took, want := range map[time.Duration]string{
		0:                         `"tookMs":0}`,
		1500 * time.Millisecond:   `"tookMs":1500}`,
		33_250 * time.Microsecond: `"tookMs":33.25}`,
		30*time.Second + 1:        `"tookMs":30000.000001}`,
	} {
		a := spool.AttemptInfo{Number: 2, At: at, Duration: took, State: spool.Deferred, Detail: "503", Answer: "busy", Error: "answered 503"}
		got, err := json.Marshal(a)
		const rest = `{"number":2,"at":"2026-11-24T12:00:00Z","state":"deferred","detail":"503","answer":"busy","error":"answered 503",`
		if err != nil || string(got) != rest+want {
			t.Errorf("%s is %s, %v", took, got, err)
		}
		var back spool.AttemptInfo
		if err := json.Unmarshal(got, &back); err != nil || back != a {
			t.Errorf("%s is read as %+v, %v", got, back, err)
		}
	}
}
