package pop3

import (
	"strings"

	"github.com/postferry/postferry/internal/failpoint"
)

// passSent hits the point of a command that the server has and has not answered.
func passSent(command []byte) {
	if !failpoint.Armed() {
		return
	}
	switch verb, _, _ := strings.Cut(strings.TrimSpace(string(command)), " "); verb {
	case "RETR", "DELE", "QUIT":
		failpoint.Hit("pop3." + strings.ToLower(verb) + ".sent")
	}
}
