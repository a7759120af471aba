package expr

import (
	"encoding/json"
	"strings"
	"testing"
)

// reply is an environment of which only a value knows the fields.
type reply struct {
	Status int               `json:"status"`
	Field  map[string]string `json:"field"`
	Body   any               `json:"body"`
}

func TestFieldsThatOnlyTheValueKnows(t *testing.T) {
	replies := New[reply]()
	of := func(text string) *reply {
		r := &reply{Status: 200, Field: map[string]string{"x-state": "done"}}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &r.Body); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	const full = `{"ok": true, "status": "queued", "body": {"Status": 3}, "errors": [{"code": 5, "status": "bad"}, {}], "tags": ["a", "b"], "n": 1.5, "nothing": null}`
	for _, c := range []struct {
		source              string
		full, empty, absent bool // of the body above, of {}, of none
	}{
		{`body.ok == true`, true, false, false},
		{`body.ok != true`, false, true, true},
		{`status == 200 and body.status == "queued"`, true, false, false},
		{`body.body.Status == 3`, true, false, false},
		{`body.body.status == 3`, false, false, false},
		{`body.nothing == nil`, true, true, true},
		{`body.a.b.c == nil`, true, true, true},
		{`body.status contains "que"`, true, false, false},
		{`body.status matches "^q"`, true, false, false},
		{`lower(body.status) startsWith "q"`, true, false, false},
		{`any(body.errors, .code == 5)`, true, false, false},
		{`any(body.errors, .status == "bad")`, true, false, false},
		{`len(body.errors) == 0`, false, true, true},
		{`body.errors[0].code == 5`, true, false, false},
		{`body.errors[7].code == 5`, false, false, false},
		{`"b" in (body.tags ?? [])`, true, false, false},
		{`body.n == 1.5`, true, false, false},
		{`field["x-state"] == "done"`, true, true, true},
		{`field["x-other"] == ""`, true, true, true},
	} {
		p, err := replies.Compile(c.source)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		for _, b := range []struct {
			text string
			want bool
		}{{full, c.full}, {"{}", c.empty}, {"", c.absent}} {
			if got, err := p.Eval(of(b.text)); err != nil || got != b.want {
				t.Errorf("%s of %s is %v, %v", c.source, b.text, got, err)
			}
		}
	}
	for source, want := range map[string]string{
		`bdy.ok == true`:  `unknown name "bdy"; did you mean "body"?`,
		`status == "200"`: "invalid operation",
		`ok == true`:      `unknown name "ok"`,
	} {
		if _, err := replies.Compile(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
	p, err := replies.Compile(`body.ok == true`)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`"a text"`, `[1]`, `7`} {
		if holds, err := p.Eval(of(text)); holds || err == nil {
			t.Errorf("of %s it is %v, %v", text, holds, err)
		}
	}
}
