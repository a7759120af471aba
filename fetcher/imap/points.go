package imap

import (
	"strings"

	"github.com/postferry/postferry/internal/failpoint"
)

// passSent hits the point of a command that the server has and has not answered.
// A FETCH that asks for no mail has no point of its own.
func passSent(command []byte) {
	if !failpoint.Armed() {
		return
	}
	words := strings.Fields(string(command))
	if len(words) < 2 {
		return
	}
	verb := words[1]
	if verb == "UID" && len(words) > 2 {
		verb = words[2]
	}
	switch verb {
	case "FETCH":
		if !strings.Contains(string(command), "BODY.PEEK") {
			return
		}
	case "SELECT", "SEARCH", "STORE", "MOVE", "COPY", "EXPUNGE", "LOGOUT":
	default:
		return
	}
	failpoint.Hit("imap." + strings.ToLower(verb) + ".sent")
}
