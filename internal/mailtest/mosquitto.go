package mailtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Mosquitto is a running Mosquitto that belongs to one test. Its user is
// MosquittoUser with MosquittoPassword, who may do everything; MosquittoReader, with
// the same password, may only subscribe.
type Mosquitto struct {
	Addr, TLSAddr string // 127.0.0.1:port, in plain text and TLS
	CAFile        string // the authority of its certificate, which is for localhost and 127.0.0.1
	*Proc

	t      testing.TB
	binary string
	config string
}

// The users of a Mosquitto.
const (
	MosquittoUser     = "ferry"
	MosquittoReader   = "reader"
	MosquittoPassword = "a-password-of-mosquitto"
)

// StartMosquitto starts a Mosquitto and ends it when the test does. Extra arguments
// are further lines of its configuration: "max_packet_size 100000". What it has in
// memory it writes to its disk when it is stopped. A missing Mosquitto fails the test.
func StartMosquitto(t testing.TB, config ...string) *Mosquitto {
	t.Helper()
	dir, ca := brokerFolder(t)
	ports, err := freePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	m := &Mosquitto{
		Addr: loopback(ports[0]), TLSAddr: loopback(ports[1]), CAFile: filepath.Join(dir, "ca.pem"), config: filepath.Join(dir, "mosquitto.conf"),
		t: t, binary: brokerBinary(t, "mosquitto", "mosquitto"),
	}
	passwords, rights := filepath.Join(dir, "passwords"), "user "+MosquittoUser+"\ntopic readwrite #\n\nuser "+MosquittoReader+"\ntopic read #\n"
	lines := []string{
		"per_listener_settings false", "allow_anonymous false", "password_file " + passwords, "acl_file " + filepath.Join(dir, "rights"), "user root",
		"persistence true", "persistence_location " + dir + "/", "max_queued_messages 0", "log_dest stderr", "log_type warning", "log_type error",
		fmt.Sprintf("listener %d 127.0.0.1", ports[0]), fmt.Sprintf("listener %d 127.0.0.1", ports[1]),
		"certfile " + filepath.Join(dir, "cert.pem"), "keyfile " + filepath.Join(dir, "key.pem"), "cafile " + m.CAFile,
	}
	err = writeFiles(dir, ca, "mosquitto.conf", strings.Join(append(lines, config...), "\n")+"\n")
	if err == nil {
		err = writeFiles(dir, ca, "rights", rights)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, user := range []string{MosquittoUser, MosquittoReader} {
		args := []string{"-b", passwords, user, MosquittoPassword}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command(brokerBinary(t, "mosquitto", "mosquitto_passwd"), args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	m.Launch()
	return m
}

// Launch starts the server that was stopped, on what it has on disk and on the same
// ports.
func (m *Mosquitto) Launch() {
	m.t.Helper()
	m.Proc = StartProc(m.t, Command{Path: m.binary, Args: []string{"-c", m.config}})
	m.awaitReady(m.t, func() error { return listening(m.Addr) })
}
