package submit

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/smtp.md")

const page = "../../../docs/smtp.md"

// table is Codes as docs/smtp.md has it.
func table() string {
	const head = "\n| answer | what it means | what follows | what to do |\n|---|---|---|---|\n"
	var b strings.Builder
	section := ""
	for _, c := range Codes() {
		if s := titleOf(c.Steps); s != section {
			section = s
			b.WriteString("\n### " + s + "\n" + head)
		}
		answer := "`" + strings.ReplaceAll(c.Codes, " ", "` `") + "`"
		if c.Status != "" {
			answer += " with `" + strings.ReplaceAll(c.Status, " ", "` or `") + "`"
		}
		if c.Words != "" {
			answer += " with the words “" + strings.ReplaceAll(c.Words, "|", "” or “") + "”"
		}
		b.WriteString("| " + answer + " | " + c.Means + " | " + c.Blame.String() + " | " + c.Do + " |\n")
	}
	return b.String()
}

// titleOf names the steps as people do.
func titleOf(steps []Step) string {
	var names []string
	for _, s := range steps {
		names = append(names, map[Step]string{
			Greeting: "the greeting", Hello: "EHLO", StartTLS: "STARTTLS", SignIn: "the sign-in (AUTH)", From: "the sender (MAIL)",
			To: "a recipient (RCPT)", Data: "DATA", End: "the end of the mail", Reset: "RSET",
		}[s])
	}
	if names == nil {
		return "At any time"
	}
	return "To " + strings.Join(names, ", ")
}

func TestPageForTheOperatorHasEachRowOfTheTable(t *testing.T) {
	const begin, end = "<!-- codes -->\n", "<!-- end of codes -->\n"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), begin)
	is, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		t.Fatalf("%s has no place for the table", page)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+table()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if is != table() {
		t.Errorf("the table of %s is another one; go test ./sinks/smtp/submit -run Page -update writes it", page)
	}
}

func TestEachRowOfTheTableIsReachedAndSaysWhatToDo(t *testing.T) {
	figure := strings.NewReplacer("x", "9")
	for i, c := range codes {
		if c.Means == "" || c.Do == "" {
			t.Errorf("row %d says too little", i)
		}
		reached := false
		steps := c.Steps
		if steps == nil {
			steps = []Step{End}
		}
		for _, step := range steps {
			for _, code := range strings.Fields(c.Codes) {
				for _, status := range append(strings.Fields(c.Status), map[bool]string{true: "none"}[c.Status == ""]) {
					if status == "" {
						continue
					}
					n := 0
					for _, f := range figure.Replace(code) {
						n = n*10 + int(f-'0')
					}
					r := Reply{Code: n, Text: strings.Split(c.Words, "|")[0]}
					if s, _, ok := cutStatus(figure.Replace(status) + " x"); ok {
						r.Enhanced = s
					}
					v := Grade(&Error{Step: step, Reply: r})
					reached = reached || v == Verdict{c.Blame, c.Means, c.Do}
				}
			}
		}
		if !reached {
			t.Errorf("row %d, %v %s %s, is never reached", i, c.Steps, c.Codes, c.Status)
		}
	}
}

// Whatever rows there are, these hold.
func TestEveryCodeOfEachStepFallsWhereItMust(t *testing.T) {
	for _, step := range []Step{Greeting, Hello, StartTLS, SignIn, From, To, Data, End} {
		for code := 400; code < 600; code++ {
			blame := Grade(&Error{Step: step, Reply: Reply{Code: code}}).Blame
			switch {
			case code < 500 && code != 432 && blame != Passing:
				t.Errorf("%d to %s is not tried again", code, step)
			case code >= 500 && blame == Passing:
				t.Errorf("%d to %s is tried again", code, step)
			case code >= 500 && code != 530 && (step == To || step == Data || step == End) && blame != Recipient:
				t.Errorf("%d to %s is no dead letter", code, step)
			case code >= 500 && blame == Recipient && (step == Greeting || step == Hello || step == StartTLS || step == SignIn):
				t.Errorf("%d to %s ends a mail", code, step)
			}
		}
	}
}

// A recipient's address is no word of the server's: nobody can hold a sink by one.
func TestAddressOfARecipientIsNoWordOfTheServer(t *testing.T) {
	e := &Error{Step: To, To: "relay access denied@example.com", Reply: Reply{Code: 550, Text: "<relay access denied@example.com>: no such user"}}
	if v := Grade(e); v.Blame != Recipient {
		t.Errorf("%+v", v)
	}
}
