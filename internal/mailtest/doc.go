// Package mailtest holds what the tests and benchmarks of the other rooms stand
// on: a real Dovecot with a life of its own for each test, a webhook receiver
// that remembers everything, real and generated mail, and the built postferry
// as a process that can be measured and killed.
//
//	d := mailtest.StartDovecot(t)
//	d.AddUser(t, "ada@example.com", "secret")
//	for _, raw := range mailtest.Mix(100, 1) {
//		d.Append(t, "ada@example.com", "INBOX", raw)
//	}
//	r := mailtest.NewReceiver(t)
//	…
//	r.Wait(t, 100)
//
// Everything is on loopback and in temporary folders, and is gone when the test
// ends. A server that is not installed fails the test with the command that
// installs it; no test is skipped. Only test code imports this package.
package mailtest
