package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

type person struct {
	Name  *string `json:"name"`
	Email string  `json:"email"`
}

type stamp struct{ time.Time }

type deep struct {
	Title *string  `json:"title"`
	Marks []string `json:"marks"`
	Inner *deep    `json:"inner"`
}

type letter struct {
	Subject *string    `json:"subject"`
	Body    string     `json:"body"`
	From    []person   `json:"from"`
	Size    int64      `json:"size"`
	Number  *uint32    `json:"number"`
	Urgent  bool       `json:"urgent"`
	SentAt  *stamp     `json:"sentAt"`
	GotAt   *time.Time `json:"gotAt"`
	Note    *deep      `json:"note"`
	Always  deep       `json:"always"`
	Tags    []string   `json:"tags"`
	Hidden  string
}

// Open is a method no expression may call.
func (*letter) Open() string { return "opened" }

type world struct {
	Letter *letter `json:"letter"`
	Place  *struct {
		Town string `json:"town"`
	} `json:"place"`
}

var lang = New(
	Function[world]{Name: "sender", Type: (func() string)(nil), Lower: true, Call: func(w *world, m *Meter, _ []string) (any, error) {
		if len(w.Letter.From) == 0 {
			return "", nil
		}
		return strings.ToLower(w.Letter.From[0].Email), nil
	}},
	Function[world]{Name: "same", Type: (func(string, string) bool)(nil), Call: func(_ *world, _ *Meter, a []string) (any, error) {
		return strings.EqualFold(a[0], a[1]), nil
	}, Check: func(l []*string) error {
		if l[1] != nil && *l[1] == "" {
			return errors.New("same wants something to compare with")
		}
		return nil
	}},
)

func full() *world {
	subject, name, title := "Re: Order 1042", "Ada", "memo"
	number := uint32(7)
	got := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	w := &world{Letter: &letter{
		Subject: &subject, Body: "Hello World", From: []person{{&name, "Ada@X.example"}, {nil, "b@x.example"}},
		Size: 5000, Number: &number, Urgent: true, SentAt: &stamp{got.Add(-time.Hour)}, GotAt: &got,
		Note: &deep{Title: &title, Marks: []string{"m"}, Inner: &deep{Title: &title}}, Always: deep{Title: &title}, Tags: []string{"vip", "eu"},
	}}
	w.Place = &struct {
		Town string `json:"town"`
	}{"Rome"}
	return w
}

func empty() *world {
	w := &world{Letter: &letter{}}
	w.Place = &struct {
		Town string `json:"town"`
	}{}
	return w
}

func TestConditionsAreTrueOrFalse(t *testing.T) {
	for _, c := range []struct {
		source      string
		full, empty bool // of a letter with everything, of one with nothing
	}{
		{`true`, true, true},
		{`letter.subject == "Re: Order 1042"`, true, false},
		{`letter.subject != "x"`, true, true},
		{`letter.subject == nil`, false, true},
		{`nil != letter.subject`, true, false},
		{`letter.subject == ""`, false, true},
		{`letter.subject contains "Order"`, true, false},
		{`letter.subject startsWith "Re:"`, true, false},
		{`letter.subject endsWith "42"`, true, false},
		{`not (letter.subject contains "Order")`, false, true},
		{`letter.subject matches "(?i)order [0-9]+"`, true, false},
		{`letter.subject matches "^$"`, false, true},
		{`(letter.subject ?? "none") == "none"`, false, true},
		{`letter.subject + "!" == "!"`, false, true},
		{`lower(letter.subject) == "re: order 1042"`, true, false},
		{`len(letter.subject) > 3`, true, false},
		{`letter.subject in ["Re: Order 1042", "b"]`, true, false},
		{`letter.subject[0:3] == "Re:"`, true, false},
		{`len(split(letter.subject, " ")) == 3`, true, false},
		{`letter.size > 1000 and letter.urgent`, true, false},
		{`letter.size == 5000`, true, false},
		{`letter.number > 6`, true, false},
		{`letter.number < 6`, false, true},
		{`letter.number == nil`, false, true},
		{`letter.number == 7`, true, false},
		{`letter.from[0].email == "Ada@X.example"`, true, false},
		{`letter.from[0].name == "Ada"`, true, false},
		{`letter.from[1].name == nil`, true, true},
		{`letter.from[99].email contains "x"`, false, false},
		{`letter.from[-1].email == "b@x.example"`, true, false},
		{`letter.from[99] == nil`, true, true},
		{`first(letter.from).email == "Ada@X.example"`, true, false},
		{`last(letter.from).name == "z"`, false, false},
		{`lower(first(letter.from).email) == "ada@x.example"`, true, false},
		{`letter.from[letter.size - 4999].email == "b@x.example"`, true, false},
		{`letter.from == nil`, false, true},
		{`len(letter.from) == 2`, true, false},
		{`any(letter.from, .email endsWith "x.example")`, true, false},
		{`all(letter.from, .name == nil)`, false, true},
		{`any(letter.from, {.name contains "Ad"})`, true, false},
		{`none(letter.from, #.email == "c")`, true, true},
		{`one(letter.from, .name != nil)`, true, false},
		{`count(letter.from, .email contains "@") == 2`, true, false},
		{`"Ada" in map(letter.from, .name)`, true, false},
		{`len(filter(letter.from, .name == "Ada")) == 1`, true, false},
		{`find(letter.from, .name == "Ada").email == "Ada@X.example"`, true, false},
		{`find(letter.from, .name == "Zoe").email == "Ada@X.example"`, false, false},
		{`find(letter.from, .name == "Zoe") == nil`, true, true},
		{`findIndex(letter.from, .email == "b@x.example") == 1`, true, false},
		{`findIndex(letter.from, .email == "b@x.example") >= 0`, true, false},
		{`"vip" in letter.tags`, true, false},
		{`any(letter.tags, # == "eu")`, true, false},
		{`any(letter.tags, # startsWith "v")`, true, false},
		{`letter.tags[0] == "vip"`, true, false},
		{`first(letter.tags) == "vip"`, true, false},
		{`letter.note != nil`, true, false},
		{`letter.note.title == "memo"`, true, false},
		{`letter.note.inner.title contains "em"`, true, false},
		{`letter.note.inner.inner.inner.title == "memo"`, false, false},
		{`letter.note.inner.inner == nil`, true, true},
		{`letter.note?.title == "memo"`, true, false},
		{`len(letter.note.marks) == 1`, true, false},
		{`any(letter.note.inner.inner.marks, # == "m")`, false, false},
		{`"m" in letter.note.marks`, true, false},
		{`letter.note.marks[0] == "m"`, true, false},
		{`letter.always.title == "memo"`, true, false},
		{`letter.always.inner.title == "memo"`, false, false},
		{`letter.gotAt > date("2026-01-01")`, true, false},
		{`letter.sentAt < letter.gotAt`, true, false},
		{`letter.gotAt - letter.sentAt == duration("1h")`, true, false},
		{`letter.gotAt.Hour() == 12`, true, false},
		{`letter.gotAt.In(timezone("Europe/Berlin")).Hour() == 13`, true, false},
		{`letter.sentAt.Weekday().String() == "Monday"`, true, true}, // the 1st of January of the year 1 was one, too
		{`letter.sentAt == nil`, false, true},
		{`place.town == "Rome"`, true, false},
		{`let s = letter.subject; s contains "Order" and len(s) > 2`, true, false},
		{`let f = letter.from; any(f, .email == "b@x.example")`, true, false},
		{`let p = letter.from[0]; p.email startsWith "Ada"`, true, false},
		{`(letter.urgent ? letter.subject : letter.body) contains "Order"`, true, false},
		{`(letter.urgent ? letter.subject : nil) == nil`, false, true},
		{`sender() == "ADA@x.Example"`, true, false},
		{`sender() in ["q", "Ada@X.Example"]`, true, false},
		{`sender() endsWith "@X.EXAMPLE"`, true, false},
		{`sender() matches "^ADA@"`, true, false},
		{`"ADA@X.EXAMPLE" == sender()`, true, false},
		{`same(letter.subject, "re: ORDER 1042")`, true, false},
		{`same(letter.note.inner.inner.title, "x")`, false, false},
		{`all(1..3, # > 0)`, true, true},
		{`min(letter.size, 10) == 10`, true, false},
	} {
		p, err := lang.Compile(c.source)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		for _, of := range []struct {
			name string
			w    *world
			want bool
		}{{"full", full(), c.full}, {"empty", empty(), c.empty}} {
			got, err := p.Eval(of.w)
			if err != nil || got != of.want {
				t.Errorf("%s is %v, %v for a letter that is %s", c.source, got, err, of.name)
			}
		}
	}
}

func TestMistakesAreFoundWhenCompiled(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{``, "the expression is empty"},
		{`letter.subjct == "x"`, `"subjct" is not a field here; did you mean "subject"? (at column 8)`},
		{`letter.Subject == "x"`, `"Subject" is not a field here; did you mean "subject"? (at column 8)`},
		{`letter.hidden == "x"`, `"hidden" is not a field here`},
		{`letter.Hidden == "x"`, `"Hidden" is not a field here`},
		{`letter.note.inner.titel == "x"`, `"titel" is not a field here; did you mean "title"? (at column 19)`},
		{`any(letter.from, .emial == "x")`, `"emial" is not a field here; did you mean "email"? (at column 19)`},
		{`letter.from.email == "x"`, `"email" is asked of a list`},
		{`letter.title == "x"`, `"title" is not a field here`},
		{`leter.subject == "x"`, `unknown name "leter"; did you mean "letter"? (at column 1)`},
		{`subject == "x"`, `unknown name "subject"; did you mean "letter.subject"? (at column 1)`},
		{`Env.Letter.Size > 1`, `unknown name "Env"`},
		{`$env == nil`, `unknown name "$env"`},
		{`letter.urgent and` + "\n" + `letter.sise > 1`, `did you mean "size"? (at line 2, column 8)`},
		{`sendr() == "x"`, `unknown function "sendr"; did you mean "sender"? (at column 1)`},
		{`$text(letter) == "x"`, `unknown function "$text"`},
		{`same("a")`, "not enough arguments to call same"},
		{`same("a", "b", "c")`, "too many arguments to call same"},
		{`same(1, "b")`, "cannot use number as argument"},
		{`same(letter.subject, "")`, "same wants something to compare with (at column 1)"},
		{`letter.size`, "the expression gives number instead of true or false"},
		{`letter.subject`, "the expression gives text instead of true or false"},
		{`letter.from contains "x"`, "mismatched types list and text"},
		{`letter.from[letter.size > "a"].email == ""`, "mismatched types number and text"},
		{`len(letter.from[0].name > 3) == 0`, "mismatched types text and number"},
		{`letter.from ?? true`, "instead of true or false"},
		{`letter.size == "5"`, "mismatched types number and text"},
		{`letter.subject > 5`, "mismatched types text and number"},
		{`letter.subject ==`, "unexpected token EOF"},
		{`letter.subject matches "("`, "missing closing )"},
		{`letter.subject matches letter.body`, "matches wants its regular expression as a literal"},
		{`"subject" in letter`, "in wants a list, and this is an object"},
		{`first() == 1`, "first wants one list (at column 1)"},
		{`last(letter.from, 2) == 1`, "last wants one list"},
		{`len() == 1`, "invalid number of arguments"},
		{`any() == 1`, "expected at least 2 arguments"},
		{`letter.Open() == "x"`, "only times have methods"},
		{`letter.subject.Len() == 1`, "only times have methods"},
		{`now() > letter.gotAt`, `unknown function "now"`},
		{`repeat("x", 1000000) == ""`, `unknown function "repeat"`},
		{`reduce(1..3, #acc + #) == 6`, "the function reduce cannot be used in a condition"},
		{`{"a": 1}.a == 1`, "a condition has no use for this"},
		{`letter.gotAt.In(timezone(letter.subject)).Hour() == 1`, "timezone wants its name as a literal"},
		{`let letter = 1; letter == 1`, "cannot redeclare letter"},
		{strings.Repeat("(", 3000) + "true" + strings.Repeat(")", 3000), "the expression has 6004 octets; 4096 are the most"},
		{"true" + strings.Repeat(" and true", 400) + strings.Repeat(" or 1==1", 10), ""},
		{"1==1" + strings.Repeat("||1==1", 600), "exceeds maximum allowed nodes"},
	} {
		_, err := lang.Compile(c.source)
		if c.want == "" {
			if err != nil {
				t.Errorf("%.60s: %v", c.source, err)
			}
			continue
		}
		var own *Error
		if !errors.As(err, &own) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: the error is %q, and lacks %q", c.source, fmt.Sprint(err), c.want)
		}
	}
}

func TestHostileExpressionsAreStopped(t *testing.T) {
	w := full()
	big := strings.Repeat("a", 3<<20)
	w.Letter.Body = big
	w.Letter.Subject = &big
	for range 1000 {
		w.Letter.From = append(w.Letter.From, person{nil, big})
	}
	for _, c := range []struct{ name, source, want string }{
		{"three nested loops", `any(letter.from, any(letter.from, any(letter.from, false)))`, "more than 200000 steps"},
		{"nested ranges", `all(1..300, all(1..300, all(1..300, true)))`, ""},
		{"a huge range", `len(1..1000000000) > 0`, "more than 100000 elements"},
		{"doubling a text", `let a = letter.body; let b = a+a; let c = b+b; let d = c+c; let e = d+d; len(e+e) > 0`, "more than 200000 steps"},
		{"many copies of a text", `len(map(letter.from, upper(.email))) > 0`, "more than 200000 steps"},
		{"a regular expression on many texts", `any(letter.from, .email matches "(a*)*z9")`, "more than 200000 steps"},
		{"splitting to single letters", `len(split(letter.body, "")) > 0`, "more than 200000 steps"},
		{"dividing by zero", `1 % (letter.size - 5000) == 0`, "divide by zero"},
		{"a date that is none", `letter.gotAt > date(letter.subject)`, "invalid date"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := lang.Compile(c.source)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Eval(w)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
			if err != nil && len(err.Error()) > 4<<10 {
				t.Errorf("an error of %d octets", len(err.Error()))
			}
		})
	}
}

func TestTextsAreSeenUpToTheirLimit(t *testing.T) {
	w := full()
	w.Letter.Body = strings.Repeat("a", MaxText-1) + "bc"
	for source, want := range map[string]bool{`letter.body contains "ab"`: true, `letter.body contains "c"`: false} {
		p, err := lang.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Eval(w); err != nil || got != want {
			t.Errorf("%s is %v, %v", source, got, err)
		}
	}
}

func TestEvaluationsDoNotShareTheirSteps(t *testing.T) {
	p, err := lang.Compile(`all(1..90000, true)`)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if holds, err := p.Eval(full()); err != nil || !holds {
			t.Fatal(holds, err)
		}
	}
}

func FuzzCompileAndEval(f *testing.F) {
	for _, s := range []string{
		`letter.subject contains "x"`, `any(letter.from, .email == "x")`, `let a = letter.note; a?.inner.title == nil`,
		`letter.from[0].name ?? "x" == sender()`, `letter.gotAt.Hour() > 3 ? true : letter.urgent`, `all(1..9, # % 2 == 0)`,
		`same(letter.note.title, letter.tags[0])`, `find(letter.from, .email == "")?.name matches "x+"`, `-1 ** 2 == letter.number`,
		`map(letter.from, .name)[0] == ""`, `len(split(letter.body, " ")) > 2`, `not not not true`, `1 in [1,2] and "a" not in letter.tags`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := lang.Compile(source)
		if err != nil {
			var own *Error
			if !errors.As(err, &own) || strings.Contains(err.Error(), "a defect") {
				t.Fatalf("%q: %T %v", source, err, err)
			}
			return
		}
		for _, w := range []*world{full(), empty()} {
			if _, err := p.Eval(w); err != nil && strings.Contains(err.Error(), "invalid memory address") {
				t.Fatalf("%q: %v", source, err)
			}
		}
	})
}

func BenchmarkEval(b *testing.B) {
	p, err := lang.Compile(`letter.subject contains "Order" and any(letter.from, .email endsWith "@x.example") and letter.note.title == "memo"`)
	if err != nil {
		b.Fatal(err)
	}
	w := full()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Eval(w); err != nil {
			b.Fatal(err)
		}
	}
}
