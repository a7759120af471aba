package submit

import "github.com/postferry/postferry/internal/failpoint"

// verbs are the names of the steps in those of failpoints.
var verbs = map[Step]string{
	Greeting: "greeting", Hello: "hello", StartTLS: "starttls", SignIn: "auth",
	From: "mail", To: "rcpt", Data: "data", End: "end", Reset: "rset",
}

// The moments of a step.
const (
	sent     = "sent"  // the server has the command, and has not answered
	answered = "after" // its answer was read
)

// passed hits the point of a step and moment.
func passed(s Step, moment string) {
	if failpoint.Armed() && verbs[s] != "" {
		failpoint.Hit("smtp." + verbs[s] + "." + moment)
	}
}
